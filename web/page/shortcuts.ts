// The list of keyboard shortcuts: a script of its own, which is loaded when it is asked for.
import { closesBeside, el } from './lib/dom.js';
import { icon } from './lib/icons.js';

const mod = /mac|iphone|ipad/i.test(navigator.platform) ? '⌘' : 'Ctrl';

const list: [keys: string[], what: string][] = [
  [['Enter'], 'Send, unless the settings say otherwise'],
  [['Shift', 'Enter'], 'Start a new line'],
  [[mod, 'Enter'], 'Send'],
  [['Esc'], 'Stop the answer'],
  [['↑'], 'Edit your last message, while the field is empty'],
  [[mod, 'Shift', 'O'], 'New chat'],
  [[mod, 'K'], 'Search chats'],
  [[mod, 'B'], 'Show or hide the list of chats'],
  [[mod, 'Shift', '↑'], 'The chat above'],
  [[mod, 'Shift', '↓'], 'The chat below'],
  [[mod, 'Shift', 'E'], 'Rename this chat'],
  [[mod, 'Shift', 'D'], 'Delete this chat'],
  [[mod, '/'], 'This list'],
];

/** Shows them in a dialog, which is gone when it is closed. */
export function showShortcuts(): void {
  const rows = list.flatMap(([keys, what]) => [
    el('dt', {}, ...keys.flatMap((k, i) => [i > 0 && ' ', el('kbd', {}, k)])),
    el('dd', {}, what),
  ]);
  const close = el('button', { type: 'button', class: 'tool', 'aria-label': 'Close' }, icon('close'));
  const sheet = el(
    'div',
    { class: 'sheet' },
    el('div', { class: 'head' }, el('h2', { id: 'shortcuts-title' }, 'Keyboard shortcuts'), close),
    el('dl', { class: 'facts' }, ...rows),
  );
  const dialog = el('dialog', { id: 'shortcuts', 'aria-labelledby': 'shortcuts-title' }, sheet);
  close.addEventListener('click', () => dialog.close());
  closesBeside(dialog);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
