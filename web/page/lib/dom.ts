// Elements and text in them. Nothing here turns text into markup.

export const $ = <T extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as T;
export const input = (id: string) => $<HTMLInputElement>(id);
export const button = (id: string) => $<HTMLButtonElement>(id);

type Child = Node | string | undefined | false;

/** Makes an element. Attributes that are undefined or false are left out, `on…` are listeners, true is an empty value. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number | boolean | undefined | ((e: never) => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  for (const [name, v] of Object.entries(attributes)) {
    if (typeof v === 'function') e.addEventListener(name.slice(2), v as EventListener);
    else if (v !== undefined && v !== false) e.setAttribute(name, v === true ? '' : String(v));
  }
  e.append(...children.filter((c) => c !== undefined && c !== false));
  return e;
}

/** Whether a key sends what is in a field: Enter with Ctrl or Command, and Enter alone where the settings say so, but on no touch screen. */
export function sends(e: KeyboardEvent, enterSends: boolean): boolean {
  if (e.key !== 'Enter' || composing(e)) return false;
  return e.ctrlKey || e.metaKey || (enterSends && !e.shiftKey && !matchMedia('(pointer: coarse)').matches);
}

/** Whether a key is for the system's input method: Safari says so of the one that ends a word by nothing but its code. */
export function composing(e: KeyboardEvent): boolean {
  return e.isComposing || e.keyCode === 229;
}

/** Closes a dialog when one presses beside it. A press that begins inside, to select text, may end there. */
export function closesBeside(dialog: HTMLDialogElement): void {
  let begun = false;
  dialog.addEventListener('pointerdown', (e) => {
    begun = e.target === dialog;
  });
  dialog.addEventListener('click', (e) => {
    if (begun && e.target === dialog) dialog.close();
  });
}

/** A list of names and values. */
export function facts(list: HTMLElement, rows: [name: string, value: string, look?: string][]): void {
  list.replaceChildren(
    ...rows.flatMap(([name, value, look]) => [el('dt', {}, name), el('dd', { class: look }, value)]),
  );
  list.hidden = false;
}

/** Calls f at most once for each frame that is drawn, not more often than every `ms`, and for at most a quarter of the time. */
export function paced(f: () => void, ms = 50): () => void {
  let due = false;
  let last = 0;
  let cost = 0;
  const run = () => {
    due = false;
    const begun = performance.now();
    f();
    last = performance.now();
    cost = last - begun;
  };
  return () => {
    if (due) return;
    due = true;
    const wait = Math.max(0, last + Math.max(ms, 3 * cost) - performance.now());
    setTimeout(() => (document.hidden ? run() : requestAnimationFrame(run)), wait);
  };
}

/** Saves a text as a file of the visitor's. */
export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
