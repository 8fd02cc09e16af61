// Builds dist/: the page and the page /docs, with a script each and one style sheet.
//
//   node build.mjs --watch     builds again after each change
//   node build.mjs --keep      writes built/ too, which the program contains: the files compressed, and a hash of the sources
//   node build.mjs --check     fails if built/ is not what the sources give
import { build, context } from "esbuild";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { gunzipSync, gzipSync } from "node:zlib";

const options = {
  entryPoints: { page: "src/main.ts", docs: "src/docs.ts", style: "src/style.css" },
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome111", "firefox115", "safari16.4"],
  entryNames: "sam2-[name]",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};

const pages = ["index.html", "docs.html"];
const files = [...pages, "sam2-page.js", "sam2-docs.js", "sam2-style.css"];

/** The SHA-256 of the names and the contents of all sources, in order. The tests of the server compute it too. */
async function hash() {
  const names = (await readdir("src")).sort().map((name) => `src/${name}`);
  const sum = createHash("sha256");
  for (const name of ["build.mjs", "package-lock.json", ...names]) sum.update(`${name}\n`).update(await readFile(name));
  return sum.digest("hex");
}

await rm("dist", { recursive: true, force: true });
await mkdir("dist");
for (const name of pages) await copyFile(`src/${name}`, `dist/${name}`);
if (process.argv.includes("--watch")) {
  await (await context(options)).watch();
} else {
  await build(options);
  let total = 0;
  for (const name of files) {
    const bytes = await readFile(`dist/${name}`);
    const small = gzipSync(bytes, { level: 9 }).length;
    total += small;
    console.log(`${name.padEnd(16)} ${String(bytes.length).padStart(7)} bytes, ${String(small).padStart(6)} compressed`);
  }
  console.log(`all ${total} bytes compressed`);
  if (total > 150_000) {
    console.error("The page is larger than 150 kB compressed.");
    process.exit(1);
  }
  if (process.argv.includes("--keep")) {
    await mkdir("built", { recursive: true });
    for (const name of files) await writeFile(`built/${name}.gz`, gzipSync(await readFile(`dist/${name}`), { level: 9 }));
    await writeFile("built/sources.sha256", `${await hash()}\n`);
  }
  if (process.argv.includes("--check")) {
    for (const name of files) {
      if (!gunzipSync(await readFile(`built/${name}.gz`)).equals(await readFile(`dist/${name}`))) {
        console.error(`built/${name}.gz is not what the sources give: run npm run keep`);
        process.exit(1);
      }
    }
  }
}
