// A model on the visitor's GPU: the npm package's, in its Worker.
import type { AnswerPart, GenerateOptions, TextModel } from '../../src/index.js';
import type { ToolCall } from '../chat/tree.js';
import { conversationOptions, localOptions } from '../settings/options.js';
import type { Settings } from '../settings/settings.js';
import { asText, type Engine, type Listener, type Outcome, type Turn } from './engine.js';

export class LocalEngine implements Engine {
  readonly where = 'gpu';

  constructor(
    readonly name: string,
    readonly model: TextModel,
    readonly context: number | undefined,
  ) {}

  get chats(): boolean {
    return this.model.info.hasChat;
  }

  async answer(
    turns: readonly Turn[],
    s: Settings,
    signal: AbortSignal,
    on: Listener,
    goOn: boolean,
  ): Promise<Outcome> {
    const options: GenerateOptions = {
      ...localOptions(s),
      signal,
      onToken: ({ ms }) => on.token(ms),
      onPrompt: ({ done, total }) => on.prompt(done, total),
    };
    const calls: ToolCall[] = [];
    if (this.chats) {
      for await (const part of this.model.answer(turns, { ...options, ...conversationOptions(s), continueLast: goOn }))
        take(part, on, calls);
    } else {
      for await (const piece of this.model.generate(asText(turns), options)) on.text(piece);
    }
    const stats = await this.model.stats();
    return {
      end: stats.end === 'length' ? 'length' : calls.length > 0 ? 'tools' : 'stop',
      promptTokens: stats.promptTokens,
      cachedTokens: stats.cachedTokens,
      promptSeconds: stats.firstTokenSeconds,
      droppedTokens: stats.droppedTokens,
      tokens: stats.generatedTokens,
      tokensPerSecond: stats.tokensPerSecond,
      calls,
    };
  }

  async count(text: string): Promise<number | undefined> {
    return (await this.model.encode(text)).length;
  }
}

/** Takes a part of an answer. */
function take(part: AnswerPart, on: Listener, calls: ToolCall[]): void {
  if ('content' in part) on.text(part.content);
  else if ('reasoning' in part) on.reasoning(part.reasoning);
  else {
    calls[part.index] ??= { id: part.id ?? '', name: part.name ?? '', arguments: '' };
    calls[part.index]!.arguments += part.arguments;
  }
}
