// Values that a program may say: what the room hears, or why the client refuses it. The tests run them
// in Node against a fake server, and in Node and Chromium against real nodes.

const BYTES = 64 * 1024 - 64; // the most that an input takes as JSON

const nested = (times) => {
  let value = 0;
  for (let i = 0; i < times; i += 1) value = i % 2 ? { in: value } : [value];
  return value;
};
const throws = () => {
  throw new RangeError("of the program");
};
const circular = [];
circular.push(circular);
class Point {
  constructor(x, y) {
    Object.assign(this, { x, y });
  }
  length() {
    return Math.hypot(this.x, this.y);
  }
}

const half = /half of a character.*toWellFormed/;
const tooBig = /^MessageTooBig: the value has \d+ bytes as JSON; 65472 fit/;
const mine = /^RangeError: of the program$/;
const plain = (type) => new RegExp(`it is a ${type}; use a plain object, an array, or toJSON`);
const none = (type) => new RegExp(`JSON has no ${type}; use`);

/** Accepted: a name, the value, and the JSON that the room hears. */
export const ACCEPTED = [
  ["a pair of surrogates", "\u{1f600} \u{10ffff}", '"\u{1f600} \u{10ffff}"'],
  ["a pair of surrogates in a key", { "\u{1f600}": 1 }, '{"\u{1f600}":1}'],
  ["the text of an escape", "\\ud800", '"\\\\ud800"'],
  ["NUL and other control characters", "\0\b\t\n\f\r\x1b\x7f", '"\\u0000\\b\\t\\n\\f\\r\\u001b\x7f"'],
  ["line separators, a byte order mark, noncharacters", "\u2028\ufeff\ufffe\uffff", '"\u2028\ufeff\ufffe\uffff"'],
  ["quotes and markup", `"'\\/</script>`, `"\\"'\\\\/</script>"`],
  ["an empty text", "", '""'],
  ["null, true and false", [null, true, false], "[null,true,false]"],
  ["-0", [-0], "[0]"],
  ["integers up to 2^53", [2 ** 53, -(2 ** 53), 2 ** 53 - 1], "[9007199254740992,-9007199254740992,9007199254740991]"],
  ["2^53 + 1, which is 2^53", 2 ** 53 + 1, "9007199254740992"],
  ["integers above 64 bits", [2 ** 63, 2 ** 64, -(2 ** 64), 1e20], "[9223372036854776000,18446744073709552000,-18446744073709552000,100000000000000000000]"],
  ["30 digits", 123456789012345678901234567890, "1.2345678901234568e+29"],
  ["the limits of a number", [1.7976931348623157e308, 5e-324, 1e21, 1e-7], "[1.7976931348623157e+308,5e-324,1e+21,1e-7]"],
  ["fractions", [0.1 + 0.2, 1 / 3], "[0.30000000000000004,0.3333333333333333]"],
  ["empty objects and arrays", [{}, []], "[{},[]]"],
  ["properties that are undefined", { a: undefined, b: 1 }, '{"b":1}'],
  ["odd keys", JSON.parse('{"":1,"__proto__":2,"constructor":3,"\\u0000":4}'), '{"":1,"__proto__":2,"constructor":3,"\\u0000":4}'],
  ["keys of the protocol", { t: "leave", n: 1, d: 2 }, '{"t":"leave","n":1,"d":2}'],
  ["an object of a class", new Point(3, 4), '{"x":3,"y":4}'],
  ["an object without a prototype", Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
  ["a date", new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ["what toJSON returns", { toJSON: () => ({ a: [1] }) }, '{"a":[1]}'],
  ["one object twice", ((one) => [one, [one]])({ a: 1 }), '[{"a":1},[{"a":1}]]'],
  ["a thousand objects beside each other", Array(1_000).fill({}), `[${"{},".repeat(999)}{}]`],
  ["512 levels", nested(512), JSON.stringify(nested(512))],
  ["64 KiB less the envelope", "x".repeat(BYTES - 2), `"${"x".repeat(BYTES - 2)}"`],
  ["the same in characters of 2 and 4 bytes", "ä\u{1f600}".repeat((BYTES - 4) / 6) + "xx", `"${"ä\u{1f600}".repeat((BYTES - 4) / 6)}xx"`],
];

/** Refused: a name, a function that makes the value, and what the error says. */
export const REFUSED = [
  ["a high surrogate alone", () => "\ud83d", half],
  ["a low surrogate alone", () => "\ude00", half],
  ["surrogates in the wrong order", () => "\ude00\ud83d", half],
  ["an emoji that was cut", () => "hello \u{1f600}".slice(0, 7), half],
  ["half an emoji in a key", () => ({ "\ud83d": 1 }), /"\\ud83d" in the value cannot arrive.*half/],
  ["half an emoji deep inside", () => [{ a: { b: ["\udc00"] } }], half],
  ["NaN", () => NaN, /^TypeError: .* cannot arrive as it is: JSON has no NaN; use null/],
  ["Infinity", () => ({ far: Infinity }), /"far" in the value cannot.*JSON has no Infinity/],
  ["-Infinity", () => [-Infinity], none("-Infinity")],
  ["1e400", () => Number("1e400"), none("Infinity")],
  ["nothing", () => undefined, none("undefined")],
  ["undefined in an array", () => [undefined], none("undefined")],
  ["a hole in an array", () => [1, , 2], none("undefined")],
  ["a function", () => () => 1, none("function")],
  ["a function in a property", () => ({ draw() {} }), none("function")],
  ["a class", () => Point, none("function")],
  ["a symbol", () => ({ a: Symbol("a") }), none("symbol")],
  ["a BigInt", () => 2n ** 64n, none("bigint")],
  ["a Map", () => new Map([[1, 2]]), plain("Map")],
  ["a Set", () => ({ seen: new Set([1]) }), plain("Set")],
  ["a promise", () => [Promise.resolve(1)], plain("Promise")],
  ["an error", () => new Error("wrong"), plain("Error")],
  ["a regular expression", () => /a/, plain("RegExp")],
  ["bytes", () => new Uint8Array(2), plain("Uint8Array")],
  ["a buffer", () => new ArrayBuffer(2), plain("ArrayBuffer")],
  ["a number in an object", () => new Number(NaN), plain("Number")],
  ["an array in itself", () => circular, /circular/i],
  ["a toJSON that throws", () => ({ toJSON: throws }), mine],
  ["a toJSON that returns NaN", () => ({ toJSON: () => NaN }), none("NaN")],
  ["a getter that throws", () => Object.defineProperty({}, "a", { enumerable: true, get: throws }), mine],
  ["513 levels", () => nested(513), /nested in more than 512/],
  ["a hundred thousand levels", () => nested(100_000), /nested in more than 512/],
  ["64 KiB and a byte", () => "x".repeat(BYTES - 1), tooBig],
  ["the same in characters of 2 bytes", () => `${"ä".repeat((BYTES - 2) / 2)}x`, tooBig],
];

/** Says every value of the tables; returns how many were accepted, and what was wrong. */
export async function sayAll(place) {
  const wrong = [];
  let n = 0;
  for (const [name, make, expected] of REFUSED) {
    const error = await place.say(make()).then(() => "accepted", String);
    if (!expected.test(error)) wrong.push(`${name}: ${error}`);
  }
  for (const [name, value] of ACCEPTED) {
    const answer = await place.say(value).catch(String);
    if (answer !== ++n) wrong.push(`${name}: ${answer}`);
  }
  return [n, wrong];
}

/** Compares what was heard with the table; returns the differences. */
export function differences(heard) {
  return ACCEPTED.flatMap(([name, , json], i) => {
    const found = JSON.stringify(heard[i]) ?? "nothing";
    return found === json ? [] : [`${name}: ${found.slice(0, 200)}`];
  });
}
