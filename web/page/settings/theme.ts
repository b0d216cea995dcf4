// The colors: the system's, or the ones that the visitor has chosen.
const storage = 'llama-webgpu-theme';

type Theme = '' | 'light' | 'dark'; // '': as the system has it

function kept(): Theme {
  const text = localStorage.getItem(storage);
  return text === 'light' || text === 'dark' ? text : '';
}

function show(theme: Theme): void {
  document.documentElement.style.colorScheme = theme;
}

/** Shows the colors that were chosen last, and has the switch of the drawer change them. */
export function theme(): void {
  show(kept());
  for (const radio of document.querySelectorAll<HTMLInputElement>('input[name=theme]')) {
    radio.checked = radio.value === kept();
    radio.addEventListener('change', () => {
      const chosen = radio.value as Theme;
      show(chosen);
      try {
        if (chosen) localStorage.setItem(storage, chosen);
        else localStorage.removeItem(storage);
      } catch {
        // no room: it holds until the page is closed
      }
    });
  }
}
