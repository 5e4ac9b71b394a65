// `node node_puppet.mjs MODULE` runs the puppet in Node: each line of stdin is a request in JSON,
// and each line of stdout the response.

import { createInterface } from "node:readline";

import { makePuppet } from "./puppet.mjs";
import * as values from "./values.mjs";

const { connect } = await import(process.argv[2]);
const puppet = makePuppet(connect, values);
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await puppet(JSON.parse(line)))}\n`);
}
process.exit(0);
