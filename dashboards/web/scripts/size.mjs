/**
 * Prints what the page weighs, compressed by brotli, and fails beyond the bounds. The first view is the document, what it names, and
 * the chunks that the first section imports.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

const FIRST_KIB_MAX = 90;
const ALL_KIB_MAX = 300;
const FIRST_SECTION = 'overview';

const dist = new URL('../dist/', import.meta.url).pathname;
const files = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !/\.(br|gz)$/.test(entry.name))
  .map((entry) => relative(dist, join(entry.parentPath, entry.name)));
const bytes = (name) => statSync(join(dist, `${name}.br`)).size;

/** The files of the first view: from the document, following static imports, and the first section's chunk with its styles. */
function firstView() {
  const found = new Set(['index.html']);
  const chunk = files.filter((name) => new RegExp(`^${FIRST_SECTION}-.*\\.(js|css)$`).test(basename(name)));
  if (chunk.length === 0) throw new Error(`no chunk of the section ${FIRST_SECTION} in dist`);
  const open = ['index.html', ...chunk];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    found.add(name);
    if (!/\.(html|js)$/.test(name)) continue;
    // A chunk's styles have its name.
    const stem = basename(name).replace(/-[^-]+\.js$/, '-');
    open.push(...files.filter((file) => file.endsWith('.css') && basename(file).startsWith(stem) && !found.has(file)));
    const text = readFileSync(join(dist, name), 'utf8');
    const named = name.endsWith('.html')
      ? [...text.matchAll(/(?:src|href)="\.\/([^"]+)"/g)]
      : [...text.matchAll(/(?:from|import)\s*["']\.\/([^"']+)["']/g)];
    for (const [, target] of named) {
      const path = name.endsWith('.html') ? target : `assets/${target}`;
      if (files.includes(path) && !found.has(path)) open.push(path);
    }
  }
  return [...found];
}

const kib = (list) => list.reduce((sum, name) => sum + bytes(name), 0) / 1024;
const first = firstView();
const rows = files.map((name) => [bytes(name) / 1024, name]).sort((a, b) => b[0] - a[0]);
for (const [size, name] of rows) console.log(`${size.toFixed(1).padStart(7)} KiB  ${first.includes(name) ? '*' : ' '} ${name}`);

const totals = [
  ['first view (*)', kib(first), FIRST_KIB_MAX],
  ['all', kib(files), ALL_KIB_MAX],
];
for (const [what, size, max] of totals) console.log(`${size.toFixed(1).padStart(7)} KiB    ${what}, at most ${max}`);
if (totals.some(([, size, max]) => size > max)) {
  console.error('the page is too heavy: split a chunk off, or take a library out');
  process.exit(1);
}
