// What the page tells its visitor: errors, things done that can be undone, and for screen readers what happens.
import { $, button, el } from './dom.js';
import { focusOn } from './focus.js';

export interface Action {
  label: string;
  run(): void;
}

const titles: Record<string, string> = {
  corrupt: 'The model is damaged',
  'not-found': 'Model not found',
  network: 'The server cannot be reached',
  'out-of-memory': 'Not enough GPU memory',
  'too-large': 'The model is too large for this GPU',
  'device-lost': 'The GPU was lost',
  'unsupported-version': 'Unsupported version',
  'invalid-argument': 'That cannot be done',
  'webgpu-unavailable': 'WebGPU is not available',
  'no-adapter': 'No GPU',
  address: 'That is not the address of a bundle',
  folder: 'No bundle in this folder',
  storage: 'The conversation was not saved',
};

/** What an error is called. */
export function titleOf(e: unknown): string {
  return titles[String((e as { code?: unknown })?.code)] ?? 'Something went wrong';
}

export function aborted(e: unknown): boolean {
  const { code, name } = (e ?? {}) as { code?: unknown; name?: unknown };
  return code === 'aborted' || name === 'AbortError';
}

/** Shows an error until it is closed or the next one comes. What was aborted is no error. */
export function complain(e: unknown, actions: Action[] = []): void {
  if (aborted(e)) return;
  $('alert-title').textContent = titleOf(e);
  $('alert-text').textContent = e instanceof Error ? e.message : String(e);
  $('alert-actions').replaceChildren(
    ...actions.map((a) => {
      const run = () => {
        calm();
        a.run();
      };
      return el('button', { type: 'button', onclick: run }, a.label);
    }),
  );
  $('alert').hidden = false;
}

export function calm(): void {
  hide($('alert'));
}

const before = new WeakMap<HTMLElement, HTMLElement>(); // what had the focus before it came into a box

/** Hides a box. If it has the focus, that goes back to where it came from. */
function hide(box: HTMLElement): void {
  const held = box.contains(document.activeElement);
  box.hidden = true;
  if (!held) return;
  const from = before.get(box);
  focusOn(from?.isConnected ? from : $('scroller'));
}

/** Has screen readers say something, when they are done with what they are reading. */
export function announce(text: string): void {
  const status = $('announcer');
  status.textContent = '';
  setTimeout(() => {
    status.textContent = text;
  }, 60); // a text that does not change is not read again
}

let timer: ReturnType<typeof setTimeout> | undefined;

/** Says something for a few seconds. An action is offered with it; a mere function undoes what was done. */
export function toast(text: string, action?: Action | (() => void)): void {
  clearTimeout(timer);
  const box = $('toast');
  box.replaceChildren(el('span', {}, text));
  if (action) {
    const { label, run } = typeof action === 'function' ? { label: 'Undo', run: action } : action;
    const act = () => {
      hide(box);
      run();
    };
    box.append(el('button', { type: 'button', class: 'link', onclick: act }, label));
  }
  box.hidden = false;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => hide(box), action ? 8000 : 3000);
  };
  const hold = () => clearTimeout(timer); // whoever is on the way to the button gets there
  box.onpointerenter = hold;
  box.onpointerleave = wait;
  for (const b of box.querySelectorAll('button')) {
    b.onfocus = hold;
    b.onblur = wait;
  }
  wait();
}

button('alert-close').addEventListener('click', calm);
for (const box of [$('alert'), $('toast')])
  box.addEventListener('focusin', (e) => {
    if (e.relatedTarget && !box.contains(e.relatedTarget as Node)) before.set(box, e.relatedTarget as HTMLElement);
  });
