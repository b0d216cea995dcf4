const svg = 'http://www.w3.org/2000/svg';

/**
 * Draws the times of the last tokens as bars, with a line at their median. The first token, which includes the prompt, is
 * left out; outliers are cut off and marked, so that the others stay visible.
 */
export function showChart(chart: HTMLElement, text: HTMLElement, times: readonly number[]): void {
  const shown = times.slice(1).slice(-120);
  if (shown.length === 0) {
    chart.replaceChildren();
    text.textContent = '';
    return;
  }
  const sorted = [...shown].sort((a, b) => a - b);
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
  const most = Math.max(Math.min(at(0.98) * 1.15, at(0.5) * 3), 1);
  const width = 600 / Math.max(shown.length, 30);
  const shapes: Element[] = shown.map((ms, i) => {
    const h = Math.min(1, ms / most) * 88;
    const bar = element('rect', { x: i * width, y: 90 - h, width: Math.max(1, width - 1.5), height: h, rx: 1 });
    if (ms > most) bar.setAttribute('class', 'cut');
    return bar;
  });
  const y = 90 - Math.min(1, at(0.5) / most) * 88;
  shapes.push(element('line', { x1: 0, x2: 600, y1: y, y2: y }));
  chart.replaceChildren(...shapes);
  text.textContent = `· median ${at(0.5).toFixed(1)}, 95th percentile ${at(0.95).toFixed(1)}, maximum ${at(1).toFixed(1)}`;
}

function element(name: string, attributes: Record<string, number>): Element {
  const e = document.createElementNS(svg, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, String(v));
  return e;
}

/** Draws what the GPU memory is used for. */
export function showMemory(
  bar: HTMLElement,
  list: HTMLElement,
  memory: Record<string, number>,
  write: (n: number) => string,
): void {
  const parts = Object.entries(memory).sort((a, b) => b[1] - a[1]);
  const all = parts.reduce((n, [, b]) => n + b, 0) || 1;
  bar.replaceChildren(
    ...parts.map(([, n], i) => {
      const piece = document.createElement('div');
      piece.className = `p${Math.min(i, 4)}`;
      piece.style.width = `${(100 * n) / all}%`;
      return piece;
    }),
  );
  list.replaceChildren(
    ...parts.map(([purpose, n], i) => {
      const item = document.createElement('li');
      const mark = document.createElement('i');
      mark.className = `p${Math.min(i, 4)}`;
      item.append(mark, `${purpose} ${write(n)}`);
      return item;
    }),
  );
}
