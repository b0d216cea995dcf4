#!/usr/bin/env node
// The command of the npm package: npx llama-webgpu benchmark. The program of the same name does everything else.
import { parseArgs } from 'node:util';
import type { BenchmarkReport, BenchmarkResult } from './benchmark.js';
import { benchmark, forgetTuning } from './node.js';
import { tuningPath } from './tuning-file.js';

const usage = `Usage: llama-webgpu benchmark [BUNDLE] [options]

Tries the constants of the kernels on this device for the shapes of a bundle (a
directory or a URL, of which only the manifest is read; without one, those of a
Llama 3.2 1B in int4), shows the times before and after, and keeps the fastest
for every later load in Node.

  --quick         try fewer combinations
  --tokens LIST   for passes of how many tokens: 1,512
  --no-keep       show only
  --forget        forget what was kept, and end
  --flags LIST    switches of Dawn, the WebGPU of the package "webgpu"
  --json          print the report as JSON
`;

/** What is said to those who take this for the program, whose name it has. */
function elsewhere(command: string): string {
  return `The npm package has no command ${command}: to quantize, verify or serve models, install the program
llama-webgpu from https://github.com/llama-webgpu/llama-webgpu

`;
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      quick: { type: 'boolean' },
      tokens: { type: 'string' },
      'no-keep': { type: 'boolean' },
      forget: { type: 'boolean' },
      flags: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [command, bundle, ...more] = positionals;
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (command !== 'benchmark' || more.length > 0) {
    if (command !== undefined && command !== 'benchmark') process.stderr.write(elsewhere(command));
    process.stderr.write(usage);
    return 2;
  }
  if (values.forget) {
    await forgetTuning();
    return 0;
  }
  const ender = new AbortController();
  process.once('SIGINT', () => ender.abort());
  const shown = process.stderr.isTTY;
  const report = await benchmark(bundle, {
    quick: values.quick ?? false,
    keep: !values['no-keep'],
    signal: ender.signal,
    ...(values.tokens !== undefined && { tokens: values.tokens.split(',').map(Number) }),
    ...(values.flags !== undefined && { flags: values.flags.split(',') }),
    onProgress: ({ done, total, now }) => {
      if (shown) process.stderr.write(`\r\x1b[K${done} of ${total}: ${now}`);
    },
  });
  if (shown) process.stderr.write('\r\x1b[K');
  if (values.json) process.stdout.write(`${JSON.stringify(report, null, 1)}\n`);
  else show(report);
  return 0;
}

function show(r: BenchmarkReport): void {
  const rows = [['kernel', 'for', 'constants', 'before', 'after', 'gain'], ...r.results.map(row)];
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((cells) => cells[i]!.length)));
  const lines = rows.map((cells) =>
    cells
      .map((c, i) => c.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
  const passes = r.passes.map(
    (p) => `all of these in a pass of ${p.tokens} tokens: ${ms(p.before)} before, ${ms(p.after)} after`,
  );
  const kept = r.kept ? `kept in ${tuningPath()}` : `not kept: ${r.reason}`;
  process.stdout.write(`${r.device.adapter}\n\n${[...lines, '', ...passes, '', kept].join('\n')}\n`);
}

function row(r: BenchmarkResult): string[] {
  const best = Object.entries(r.best).map(([name, v]) => `${name}=${v}`);
  const same = Object.entries(r.default).every(([name, v]) => r.best[name] === v);
  const gain = `${(r.before / r.after).toFixed(2)}×`;
  return [
    r.kernel,
    `${r.class} (${r.what})`,
    same ? 'as they were' : best.sort().join(' '),
    ms(r.before),
    ms(r.after),
    gain,
  ];
}

function ms(t: number): string {
  return `${t.toPrecision(3)} ms`;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code), // Dawn's device would keep the process
  (e: Error) => {
    process.stderr.write(`llama-webgpu: ${e.message}\n`);
    process.exit(1);
  },
);
