// Parts of the page's HTML and style that are not needed at first.
import { el } from './dom.js';
import { placeIcons } from './icons.js';

/** Puts a file of the page's own into an element. */
export async function part(file: string, into: HTMLElement): Promise<void> {
  const response = await fetch(file);
  if (!response.ok)
    throw Object.assign(new Error(`${file}: the server answered ${response.status}`), { code: 'network' });
  const { body } = new DOMParser().parseFromString(await response.text(), 'text/html');
  placeIcons(body);
  into.append(...body.childNodes);
}

/** Adds a style sheet, and waits until it applies. */
export function style(file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = () => reject(Object.assign(new Error(`${file} could not be loaded`), { code: 'network' }));
    document.head.append(el('link', { rel: 'stylesheet', href: file, onload: () => resolve(), onerror: failed }));
  });
}
