import { LlamaError } from './errors.js';

import type { Model } from './model.js';
import { render } from './template.js';

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant' | 'tool' | (string & {});
  content: string;
}

/** A conversation as the model reads it. */
export interface Rendered {
  text: string;
  /** How it begins: with the system messages alone. Undefined if there are none, or the template cannot write them alone. */
  opening?: string | undefined;
}

/** Renders messages with the model's chat template, up to where the answer begins. */
export async function renderChat(
  model: Model,
  messages: readonly ChatMessage[],
  tools?: readonly object[],
): Promise<Rendered> {
  const template = model.manifest.tokenizer.chat_template;
  if (!template)
    throw new LlamaError(
      'invalid-argument',
      'This model has no chat template: use generate(), which continues a text.',
    );
  const { bos, eos } = model.go;
  const spell = (id: number | undefined) => (id !== undefined && id >= 0 ? (model.tokenizer.token(id) ?? '') : '');
  const special = model.manifest.tokenizer.special_tokens ?? { bos_token: spell(bos), eos_token: spell(eos?.[0]) };
  const write = (some: readonly ChatMessage[], answer: boolean) => {
    try {
      return render(template, { ...special, ...(tools && { tools }), messages: some, add_generation_prompt: answer });
    } catch (e) {
      throw new LlamaError('invalid-argument', `The chat template failed: ${(e as Error).message}`, { cause: e });
    }
  };
  const text = write(messages, true);
  const n = messages.findIndex((m) => m.role !== 'system' && m.role !== 'developer');
  if (n < 1) return { text };
  try {
    return { text, opening: write(messages.slice(0, n), false) };
  } catch {
    return { text };
  }
}
