// The command of the package, as far as it needs no GPU.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const caches = mkdtempSync(join(tmpdir(), 'llama-webgpu-cli-'));
test.after(() => rmSync(caches, { recursive: true }));

/** Runs the command, which keeps its files in a directory of this test on every system. */
function run(...args) {
  const env = { ...process.env, XDG_CACHE_HOME: caches, LOCALAPPDATA: caches, HOME: caches };
  return spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', env });
}

test('help is on stdout, and what makes no sense gets it on stderr', () => {
  const help = run('--help');
  assert.equal(help.status, 0);
  assert.match(help.stdout, /^Usage: llama-webgpu benchmark/);
  for (const args of [[], ['serve'], ['benchmark', 'a', 'b']]) {
    const { status, stderr } = run(...args);
    assert.equal(status, 2, args.join(' '));
    assert.match(stderr, /^Usage/m);
    assert.equal(/no command serve.*the program\nllama-webgpu from https:/.test(stderr), args[0] === 'serve');
  }
});

test('a wrong option is named', () => {
  assert.match(run('benchmark', '--quik').stderr, /quik/);
  const { status, stderr } = run('benchmark', '--tokens', '1,many');
  assert.equal(status, 1);
  assert.match(stderr, /tokens: want numbers from 1 to 4096/);
});

test('what was kept is forgotten', { skip: process.platform === 'darwin' }, () => {
  const dir = join(caches, 'llama-webgpu');
  mkdirSync(dir);
  writeFileSync(join(dir, 'tuning-npm.json'), '{"version": 1, "devices": {}}');
  assert.equal(run('benchmark', '--forget').status, 0);
  assert.equal(existsSync(join(dir, 'tuning-npm.json')), false);
});
