// Builds dist/, what the package holds, and site/, what the command serves: the demo page and the package's
// JavaScript. The WebAssembly and what starts it come from `make wasm`; they are not in git, the rest of site/ is.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

process.chdir(new URL('..', import.meta.url).pathname);
mkdirSync('dist', { recursive: true });

const tsc = (...args) => execFileSync('node', ['node_modules/typescript/bin/tsc', ...args], { stdio: 'inherit' });
tsc();
tsc('-p', 'page');

const backend = readFileSync('../gpu/backend.js', 'utf8');
writeFileSync('dist/backend.js', `export const backend = ${backend.slice(backend.indexOf('(() =>')).trim()};\n`);

await build({
  stdin: { contents: "export { Template } from '@huggingface/jinja';", resolveDir: '.' },
  bundle: true, format: 'esm', target: 'es2022', minify: true, outfile: 'dist/jinja.js',
  banner: { js: '/* @huggingface/jinja, MIT License, Copyright (c) Hugging Face */' },
});

for (const name of ['wasm_exec', 'backend', 'jinja']) writeFileSync(`dist/${name}.d.ts`, readFileSync(`src/${name}.d.ts`));
writeFileSync('LICENSE', readFileSync('../LICENSE'));

// The page takes the package from beside it.
await build({
  entryPoints: ['page/app.ts'], bundle: true, format: 'esm', target: 'es2022', outfile: 'site/app.js', external: ['./llama-webgpu/*'],
});
for (const name of ['index.html', 'style.css', 'icon.svg']) copyFileSync(`page/${name}`, `site/${name}`);
mkdirSync('site/llama-webgpu', { recursive: true });
for (const name of readdirSync('dist')) {
  if (name.endsWith('.js') && !['wasm_exec.js', 'node.js'].includes(name)) copyFileSync(`dist/${name}`, `site/llama-webgpu/${name}`);
}
if (!existsSync('dist/llama-webgpu.wasm')) console.warn('dist/llama-webgpu.wasm is not there yet: make wasm');
