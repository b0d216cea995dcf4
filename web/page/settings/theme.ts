// The colors: the system's, or the ones that the visitor has chosen.
import { recall, remember } from '../lib/storage.js';

const storage = 'llama-webgpu-theme';

type Theme = '' | 'light' | 'dark'; // '': as the system has it

function kept(): Theme {
  const text = recall(storage);
  return text === 'light' || text === 'dark' ? text : '';
}

function show(theme: Theme): void {
  document.documentElement.style.colorScheme = theme;
}

/** Shows the colors that were chosen last. */
export function theme(): void {
  show(kept());
}

/** Has the switch of the drawer change the colors. */
export function themeSwitch(): void {
  for (const radio of document.querySelectorAll<HTMLInputElement>('input[name=theme]')) {
    radio.checked = radio.value === kept();
    radio.addEventListener('change', () => {
      const chosen = radio.value as Theme;
      show(chosen);
      remember(storage, chosen || undefined);
    });
  }
}
