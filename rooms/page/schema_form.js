/** A form from a JSON schema, as msgspec makes it, with a field for JSON where it knows none better. */

import { el } from "/page/dom.js";

/** Returns `{root, read()}`; `read` throws a SyntaxError for JSON that cannot be read. */
export function schemaForm(schema, required = true) {
  return field(schema, schema.$defs ?? {}, "", required);
}

/** Whether the schema says more than that any JSON is right. */
export function hasForm(schema) {
  const shown = resolve(schema ?? {}, schema?.$defs ?? {});
  return Boolean(shown.properties || shown.enum || variantsOf(shown).length || (shown.type && shown.type !== "object"));
}

/** The schema that is meant, and the definitions that may be used in it: not its own, so that each form ends. */
function opened(schema, defs) {
  const name = refOf(schema);
  if (!name || !Object.hasOwn(defs, name)) return [schema, defs];
  const { [name]: found, ...others } = defs;
  const [meant, left] = opened(found, others);
  return ["default" in schema ? { ...meant, default: schema.default } : meant, left];
}

const refOf = (schema) => schema.$ref?.replace("#/$defs/", "");

const resolve = (schema, defs) => opened(schema, defs)[0];

const variantsOf = (schema) => schema.anyOf ?? schema.oneOf ?? [];

function field(given, all, name, required) {
  const [schema, defs] = opened(given, all);
  const variants = variantsOf(schema);
  if (variants.length) return choiceOf(schema, variants, defs, name, required);
  if (schema.enum) return oneOf(schema, name, required);
  if (schema.type === "object" && schema.properties) return objectOf(schema, defs, name);
  if (schema.type === "boolean") return flag(schema, name);
  if (schema.type === "integer" || schema.type === "number") return number(schema, name, required);
  if (schema.type === "string") return text(schema, name, required);
  if (schema.type === "null") return { root: el("span", { class: "muted" }, name ? `${name}: null` : "null"), read: () => null };
  return json(schema, name, required);
}

function objectOf(schema, defs, name) {
  const needed = new Set(schema.required ?? []);
  const parts = Object.entries(schema.properties).map(([key, part]) => ({ key, ...field(part, defs, key, needed.has(key)) }));
  const legend = name || schema.title || "";
  const root = el("fieldset", {}, legend ? el("legend", {}, legend) : null, schema.description ? el("p", { class: "muted" }, schema.description) : null, ...parts.map((part) => part.root));
  const read = () => Object.fromEntries(parts.map(({ key, read: readPart }) => [key, readPart()]).filter(([, value]) => value !== undefined));
  return { root, read };
}

function choiceOf(schema, variants, defs, name, required) {
  const shapes = variants.map((variant) => resolve(variant, defs));
  const labels = shapes.map((shape, index) => shape.title ?? shape.type ?? refOf(shape) ?? `variant ${index + 1}`);
  const parts = []; // made when they are chosen: types that name each other would make too many
  const part = (index) => (parts[index] ??= field(variants[index], defs, "", true));
  const start = schema.default === null ? Math.max(0, shapes.findIndex((shape) => shape.type === "null")) : 0;
  const body = el("div", {}, part(start).root);
  const select = el("select", {}, ...labels.map((label, index) => el("option", { value: index, selected: index === start }, label)));
  select.onchange = () => body.replaceChildren(part(Number(select.value)).root);
  const isUnset = () => !required && "default" in schema && Number(select.value) === start;
  const root = el("div", { class: "choice-of" }, labelled(name || "which", select), body);
  return { root, read: () => (isUnset() && shapes[start].type === "null" ? undefined : part(Number(select.value)).read()) };
}

function oneOf(schema, name, required) {
  if (schema.enum.length === 1) {
    return { root: el("p", { class: "muted constant" }, `${name}: `, el("code", {}, JSON.stringify(schema.enum[0]))), read: () => schema.enum[0] };
  }
  const options = schema.enum.map((value, index) => el("option", { value: index, selected: value === schema.default }, String(value)));
  const select = el("select", {}, ...(required ? [] : [el("option", { value: "" }, "–")]), ...options);
  return { root: labelled(name, select), read: () => (select.value === "" ? undefined : schema.enum[select.value]) };
}

function flag(schema, name) {
  const box = el("input", { type: "checkbox", checked: schema.default === true });
  return { root: el("label", { class: "check" }, box, ` ${name || "yes"}`), read: () => box.checked };
}

function number(schema, name, required) {
  const isWhole = schema.type === "integer";
  const least = schema.minimum ?? (isWhole && schema.exclusiveMinimum !== undefined ? schema.exclusiveMinimum + 1 : undefined);
  const most = schema.maximum ?? (isWhole && schema.exclusiveMaximum !== undefined ? schema.exclusiveMaximum - 1 : undefined);
  const step = schema.multipleOf ?? (isWhole ? 1 : "any");
  const input = el("input", { type: "number", min: least, max: most, step, required, inputmode: isWhole ? "numeric" : "decimal", placeholder: schema.default });
  const range = least === undefined && most === undefined ? "" : `${least ?? "…"} to ${most ?? "…"}`;
  return { root: labelled(name, input, range), read: () => (input.value === "" ? undefined : Number(input.value)) };
}

function text(schema, name, required) {
  const input = el("input", { type: "text", minlength: schema.minLength, maxlength: schema.maxLength, pattern: schema.pattern, placeholder: schema.default || null, autocomplete: "off" });
  const hint = [schema.format, schema.contentEncoding].filter(Boolean).join(", ");
  return { root: labelled(name, input, hint), read: () => (input.value === "" && !required ? undefined : input.value) };
}

function json(schema, name, required) {
  const hint = schema.type === "array" ? `a list of ${schema.items?.type ?? "JSON"}` : "JSON";
  const area = el("textarea", { rows: "2", spellcheck: "false", required, placeholder: "default" in schema ? JSON.stringify(schema.default) : '"hello"' });
  return { root: labelled(name, area, hint), read: () => (area.value.trim() === "" ? undefined : JSON.parse(area.value)) };
}

function labelled(name, input, hint) {
  return el("label", {}, el("span", {}, name || "value", hint ? el("small", { class: "muted" }, ` ${hint}`) : null), input);
}
