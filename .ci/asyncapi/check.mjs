// Validates an AsyncAPI document with the reference parser: node check.mjs FILE. Ends with 1 if it is not valid.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const [file] = process.argv.slice(2);
const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf-8"), { source: file });
for (const { severity, message, path } of diagnostics) {
  console.log(["error", "warning", "info", "hint"][severity], path.join("."), message);
}
const wrong = diagnostics.some(({ severity }) => severity <= 1);
console.log(document === undefined || wrong ? "not valid" : `valid: AsyncAPI ${document.version()}`);
process.exitCode = document === undefined || wrong ? 1 : 0;
