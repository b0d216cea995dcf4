// The part of the measuring panel that looks for the fastest constants of the kernels.
import type { Source } from '../../src/files.js';
import type { BenchmarkReport, BenchmarkResult, LlamaError } from '../../src/index.js';
import { runtime } from '../lazy.js';
import { $, el, input } from '../lib/dom.js';
import { keepStorage } from '../lib/storage.js';

/** Searches for the shapes of a model, and shows what was found. */
export async function tune(source: Source | undefined, signal: AbortSignal): Promise<void> {
  const now = $('tune-now');
  now.textContent = 'Starting …';
  $('tune-result').hidden = true;
  const keeps = keepStorage(); // the answer may take as long as the visitor does
  try {
    const { benchmark } = await runtime();
    const report = await benchmark(source ?? null, {
      quick: input('tune-quick').checked,
      signal,
      onProgress: ({ done, total, now: what }) => {
        now.textContent = `${done} of ${total} done. Now: ${what}`;
      },
    });
    show(report);
    now.textContent = report.kept
      ? 'Kept for this GPU: models use it from the next time they are loaded.'
      : `Not kept, so that models load as before. ${report.reason}`;
    if (report.kept && !(await keeps)) now.textContent += ' The browser may drop it when it needs the space.';
  } catch (e) {
    const { code, kept, reason } = e as Partial<LlamaError>;
    if (code !== 'aborted') {
      now.textContent = '';
      throw e;
    }
    now.textContent = 'Stopped.';
    if (kept === true) now.textContent += ' What was found until then is kept.';
    if (kept === false) now.textContent += ` What was found until then is not kept. ${reason}`;
  }
}

function show(r: BenchmarkReport): void {
  const head = ['Kernel', 'For', 'Before', 'After', 'Gain'].map((name) => el('th', {}, name));
  const passes = r.passes.map((p) => cells(`a pass of ${p.tokens} tokens`, '', p.before, p.after));
  const rows = r.results.map((x) => cells(x.kernel, `${x.class} (${x.what})`, x.before, x.after, changed(x)));
  $('tune-result').replaceChildren(el('tr', {}, ...head), ...passes, ...rows);
  $('tune-result').hidden = false;
}

/** The constants that are new, for a title. */
function changed(r: BenchmarkResult): string {
  const names = Object.keys(r.best).filter((name) => r.best[name] !== r.default[name]);
  return names.map((name) => `${name} ${r.default[name]} → ${r.best[name]}`).join(', ') || 'as it was';
}

function cells(kernel: string, what: string, before: number, after: number, title?: string): HTMLElement {
  const ms = (t: number) => `${t.toPrecision(3)} ms`;
  const texts = [kernel, what, ms(before), ms(after), `${(before / after).toFixed(2)}×`];
  return el('tr', { title }, ...texts.map((text) => el('td', {}, text)));
}
