// Keeps the keyboard's focus in its place where parts of the page are drawn anew.

/** Gives the focus to an element, also to one that has it only by a script. */
export function focusOn(e: HTMLElement): void {
  if (e.tabIndex < 0 && !e.hasAttribute('tabindex')) {
    e.tabIndex = -1;
    e.addEventListener('blur', () => e.removeAttribute('tabindex'), { once: true });
  }
  e.focus({ preventScroll: true });
}

/**
 * Remembers which button in an element has the focus. The function that it returns gives the focus to the button of that name
 * in an element, or to the one in its place, and reports whether something has the focus that should.
 */
export function holding(root: HTMLElement): (now: HTMLElement) => boolean {
  const held = document.activeElement;
  if (!held || held === root || !root.contains(held)) return () => true;
  const at = buttons(root).indexOf(held as HTMLButtonElement);
  const name = nameOf(held);
  return (now) => {
    if (document.activeElement === held) return true;
    if (at < 0) return false;
    const all = buttons(now);
    const near = [...all.slice(0, at + 1).reverse(), ...all.slice(at + 1)];
    return [...all.filter((b) => nameOf(b) === name), ...near].some((b) => {
      b.focus({ preventScroll: true });
      return document.activeElement === b; // unless it is disabled or hidden
    });
  };
}

/** Replaces what is in an element, but not the focus. If no button is left to have it, another element may. */
export function renew(root: HTMLElement, nodes: readonly (Node | string)[], otherwise?: HTMLElement): void {
  const again = holding(root);
  root.replaceChildren(...nodes);
  if (!again(root)) otherwise?.focus();
}

/** Makes these what is in an element. What stays is not taken out: it would lose the focus, and how far it is scrolled. */
export function arrange(root: HTMLElement, nodes: readonly HTMLElement[]): void {
  const wanted = new Set<Element>(nodes);
  for (const e of Array.from(root.children)) if (!wanted.has(e)) e.remove();
  let at = root.firstElementChild;
  for (const e of nodes) {
    if (e === at) at = at.nextElementSibling;
    else root.insertBefore(e, at);
  }
}

function buttons(root: HTMLElement): HTMLButtonElement[] {
  return Array.from(root.querySelectorAll('button'));
}

/** What a button is called, and what it is for where others are called the same. */
function nameOf(e: Element): string {
  const of = e.closest<HTMLElement>('[data-id]')?.dataset['id'] ?? '';
  return `${of} ${e.getAttribute('aria-label') ?? e.textContent}`;
}
