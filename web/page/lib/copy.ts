import { el } from './dom.js';
import { icon } from './icons.js';

/** A button that copies a text, and shows that it has. */
export function copyButton(text: () => string, label: string): HTMLButtonElement {
  const b = el('button', { type: 'button', class: 'tool', title: label, 'aria-label': label }, icon('copy'));
  b.addEventListener('click', async () => {
    const done = await copied(text());
    b.replaceChildren(icon(done ? 'check' : 'close'));
    b.setAttribute('aria-label', done ? 'Copied' : 'The browser does not allow copying');
    setTimeout(() => {
      b.replaceChildren(icon('copy'));
      b.setAttribute('aria-label', label);
    }, 1500);
  });
  return b;
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedByCommand(text); // a page that is not secure, such as one of another machine by http, or without the focus
  }
}

/** Copies as browsers let pages do that are not secure: what is selected in a field. */
function copiedByCommand(text: string): boolean {
  const held = document.activeElement;
  const field = el('textarea', { class: 'unseen', 'aria-hidden': 'true' });
  field.value = text;
  document.body.append(field);
  field.select();
  try {
    return document.execCommand('copy');
  } finally {
    field.remove();
    if (held instanceof HTMLElement) held.focus({ preventScroll: true });
  }
}
