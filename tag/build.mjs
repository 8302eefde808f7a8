// Build the tag: src/base.js and src/extra.js, minified into collector/http/. `--check` compares instead of writing.
import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { transform } from "esbuild";

const here = (path) => new URL(path, import.meta.url).pathname;
const check = process.argv.includes("--check");
let stale = false;
for (const [source, target] of [
  ["src/base.js", "../collector/http/tag.js"],
  ["src/extra.js", "../collector/http/tag_extra.js"],
]) {
  const { code: text } = await transform(readFileSync(here(source), "utf8"), {
    minify: true,
    target: "es2017",
    legalComments: "none",
  });
  if (!check) writeFileSync(here(target), text);
  else if (readFileSync(here(target), "utf8") !== text) {
    stale = true;
    console.error(`${target}: not what ${source} builds to; run "make tag"`);
  }
  console.log(`${source}: ${text.length} bytes, gzip ${gzipSync(text, { level: 9 }).length}, brotli ${brotliCompressSync(text).length}`);
}
process.exit(stale ? 1 : 0);
