// A model on the visitor's GPU: the npm package's, in its Worker.
import type { ChatMessage, GenerateOptions, TextModel } from '../../src/index.js';
import { localOptions } from '../settings/options.js';
import type { Settings } from '../settings/settings.js';
import { toolsOf } from '../settings/settings.js';
import { callsIn } from './calls.js';
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

  async answer(turns: readonly Turn[], s: Settings, signal: AbortSignal, on: Listener): Promise<Outcome> {
    const tools = toolsOf(s);
    const options: GenerateOptions = {
      ...localOptions(s),
      signal,
      onToken: ({ ms }) => on.token(ms),
      onPrompt: ({ done, total }) => on.prompt(done, total),
    };
    let text = '';
    const pieces = this.chats
      ? this.model.chat(turns.map(message), tools ? { ...options, tools } : options)
      : this.model.generate(asText(turns), options);
    for await (const piece of pieces) {
      text += piece;
      on.text(piece);
    }
    const stats = await this.model.stats();
    const calls = tools ? callsIn(text, tools) : [];
    return {
      end: calls.length > 0 ? 'tools' : stats.end === 'length' ? 'length' : 'stop',
      promptTokens: stats.promptTokens,
      droppedTokens: stats.droppedTokens,
      tokens: stats.generatedTokens,
      tokensPerSecond: stats.tokensPerSecond,
      calls,
    };
  }
}

/** A message for a chat template. Templates want the arguments of calls as objects. */
function message(t: Turn): ChatMessage {
  if (!t.tool_calls) return { ...t };
  const calls = t.tool_calls.map((c) => ({
    ...c,
    function: { ...c.function, arguments: parsed(c.function.arguments) },
  }));
  return { ...t, tool_calls: calls } as ChatMessage;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
