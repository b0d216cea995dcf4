import { LlamaError } from './errors.js';
import { Template } from './jinja.js';
import type { Model } from './model.js';

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant' | 'tool' | (string & {});
  content: string;
}

/** Renders messages with the model's chat template, up to where the answer begins. */
export async function renderChat(model: Model, messages: readonly ChatMessage[]): Promise<string> {
  const template = model.manifest.tokenizer.chat_template;
  if (!template)
    throw new LlamaError(
      'invalid-argument',
      'This model has no chat template: use generate(), which continues a text.',
    );
  const { bos, eos } = model.go;
  const spell = (id: number | undefined) => (id !== undefined && id >= 0 ? (model.tokenizer.token(id) ?? '') : '');
  const special = model.manifest.tokenizer.special_tokens ?? { bos_token: spell(bos), eos_token: spell(eos?.[0]) };
  try {
    return new Template(template).render({ ...special, messages, add_generation_prompt: true });
  } catch (e) {
    throw new LlamaError('invalid-argument', `The chat template failed: ${(e as Error).message}`, { cause: e });
  }
}
