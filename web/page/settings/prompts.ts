// System prompts that the visitor has saved, to choose from.
import { $, button, el } from '../lib/dom.js';
import { recall, remember } from '../lib/storage.js';

const storage = 'llama-webgpu-prompts';

/** The saved prompts, as far as what is stored makes sense. */
export function saved(text: string | null): string[] {
  try {
    const list: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(list) ? list.filter((p) => typeof p === 'string' && p.trim() !== '') : [];
  } catch {
    return [];
  }
}

/** A prompt with this one in front of the others, which it is in once. */
export function withPrompt(list: readonly string[], prompt: string): string[] {
  return prompt.trim() === '' ? [...list] : [prompt, ...list.filter((p) => p !== prompt)];
}

export class Prompts {
  private list = saved(recall(storage));
  private readonly choice = $<HTMLSelectElement>('prompts');

  /** `now` is the system prompt that there is, `use` takes another one. */
  constructor(
    private readonly now: () => string,
    use: (prompt: string) => void,
  ) {
    this.choice.addEventListener('change', () => {
      const prompt = this.list[Number(this.choice.value)];
      if (this.choice.value !== '' && prompt !== undefined) use(prompt);
      this.show();
    });
    button('save-prompt').addEventListener('click', () => this.keep(withPrompt(this.list, now())));
    button('forget-prompt').addEventListener('click', () => this.keep(this.list.filter((p) => p !== now())));
    this.show();
  }

  private keep(list: string[]): void {
    this.list = list;
    remember(storage, list.length > 0 ? JSON.stringify(list) : undefined);
    this.show();
  }

  /** Shows which one is in use. */
  show(): void {
    const now = this.now();
    const names = this.list.map((p) => p.trim().split('\n')[0]!.slice(0, 60));
    const at = this.list.indexOf(now);
    this.choice.replaceChildren(
      el('option', { value: '' }, this.list.length > 0 ? 'Saved prompts …' : 'No saved prompts'),
      ...names.map((name, i) => el('option', { value: i }, name)),
    );
    this.choice.value = at < 0 ? '' : String(at);
    this.choice.disabled = this.list.length === 0;
    button('save-prompt').disabled = now.trim() === '' || at >= 0;
    button('forget-prompt').disabled = at < 0;
  }
}
