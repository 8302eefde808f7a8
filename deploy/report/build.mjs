// Build the page from src/ into dist/. `--check` compares instead of writing. Prints the sizes and fails over the bound.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const MOST = 250_000; // bytes of everything that the page loads, gzip
const here = (path) => new URL(path, import.meta.url).pathname;
const check = process.argv.includes("--check");
const bundle = async (source) => {
  const { outputFiles } = await build({
    entryPoints: [here(source)],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: ["es2021", "safari15"],
    loader: { ".sql": "text" },
    legalComments: "inline",
    charset: "utf8",
    logLevel: "warning",
  });
  return outputFiles[0].text;
};
const licence = [["uPlot", "uplot"], ["Lean QR", "lean-qr"]]
  .map(([name, folder]) => `${name}\n\n${readFileSync(here(`node_modules/${folder}/LICENSE`), "utf8")}`)
  .join("\n\n");
const files = {
  "index.html": readFileSync(here("src/index.html"), "utf8"),
  "report.js": await bundle("src/main.js"),
  "report.css": await bundle("src/style.css"),
  "LICENSES.txt": licence,
};
let stale = false;
let total = 0;
mkdirSync(here("dist"), { recursive: true });
for (const [name, text] of Object.entries(files)) {
  const target = here(`dist/${name}`);
  let old = "";
  try {
    old = readFileSync(target, "utf8");
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  if (!check) writeFileSync(target, text);
  else if (old !== text) {
    stale = true;
    console.error(`deploy/report/dist/${name}: not what deploy/report/src builds to; run "make report"`);
  }
  if (name === "LICENSES.txt") continue;
  const gzip = gzipSync(text, { level: 9 }).length;
  total += gzip;
  console.log(`report/${name}: ${Buffer.byteLength(text)} bytes, gzip ${gzip}, brotli ${brotliCompressSync(text).length}`);
}
console.log(`report: ${total} bytes gzip of at most ${MOST}`);
process.exit(stale || total > MOST ? 1 : 0);
