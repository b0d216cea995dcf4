// The part of OpenAI's API that a model in the page has, by the names of its clients.
import type { ReasoningEffort } from './conversation.js';

/** What chat and text completions share. Fields that are not listed are ignored. */
export interface CompletionOptions {
  model?: string | null;
  max_tokens?: number | null;
  max_completion_tokens?: number | null;
  /** Default: 0.8, as on the server; 0: always the most likely token. */
  temperature?: number | null;
  /** Default: 0.95. */
  top_p?: number | null;
  /** Default: 40. */
  top_k?: number | null;
  min_p?: number | null;
  typical_p?: number | null;
  dynatemp_range?: number | null;
  dynatemp_exponent?: number | null;
  xtc_probability?: number | null;
  xtc_threshold?: number | null;
  dry_multiplier?: number | null;
  dry_base?: number | null;
  dry_allowed_length?: number | null;
  dry_penalty_last_n?: number | null;
  dry_sequence_breakers?: string[] | null;
  repeat_penalty?: number | null;
  repeat_last_n?: number | null;
  presence_penalty?: number | null;
  frequency_penalty?: number | null;
  logit_bias?: Record<string, number> | null;
  seed?: number | null;
  stop?: string | string[] | null;
  /** How many texts, one after the other. */
  n?: number | null;
  /** A grammar in the notation of llama.cpp (GBNF). */
  grammar?: string | null;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean } | null;
}

export interface ChatRequest extends CompletionOptions {
  messages: readonly RequestMessage[];
  response_format?: ResponseFormat | null;
  /** Functions that the model may call. */
  tools?: readonly FunctionTool[] | null;
  tool_choice?: 'auto' | 'none' | 'required' | { type: 'function'; function: { name: string } } | null;
  parallel_tool_calls?: boolean | null;
  /** How much the model is to think, if its chat template knows that. */
  reasoning_effort?: ReasoningEffort | null;
  /** The last message is the beginning of an answer: go on with it. */
  continue_final_message?: boolean | null;
  /** What becomes of thoughts: `auto`, the default, puts them into reasoning_content, `none` leaves them in the text. */
  reasoning_format?: 'auto' | 'deepseek' | 'none' | null;
  /** Further variables of the chat template. */
  chat_template_kwargs?: Record<string, unknown> | null;
}

export interface FunctionTool {
  type: 'function';
  function: { name: string; description?: string; parameters?: object | null; strict?: boolean | null };
}

export interface RequestMessage {
  role: string;
  content?: string | readonly { type: string; text?: string }[] | null;
  tool_calls?: readonly MessageToolCall[] | null;
  tool_call_id?: string;
  name?: string;
  reasoning_content?: string;
}

export interface MessageToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

export type ResponseFormat =
  | { type: 'text' }
  | { type: 'json_object'; schema?: object | string }
  | { type: 'json_schema'; json_schema: { name?: string; schema?: object; strict?: boolean | null } };

export interface CompletionRequest extends CompletionOptions {
  prompt: string;
  echo?: boolean | null;
}

export type FinishReason = 'stop' | 'length' | 'tool_calls';

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
}

export interface ChatCompletion {
  id: string;
  object: 'chat.completion';
  created: number;
  model: string;
  system_fingerprint: string;
  choices: {
    index: number;
    message: {
      role: 'assistant';
      /** null beside calls of functions. */
      content: string | null;
      refusal: null;
      /** What the model thought before. */
      reasoning_content?: string;
      tool_calls?: MessageToolCall[];
    };
    finish_reason: FinishReason;
    logprobs: null;
  }[];
  usage: Usage;
}

export interface ChatCompletionChunk {
  id: string;
  object: 'chat.completion.chunk';
  created: number;
  model: string;
  system_fingerprint: string;
  choices: {
    index: number;
    delta: {
      role?: 'assistant';
      content?: string;
      reasoning_content?: string;
      tool_calls?: {
        index: number;
        id?: string;
        type?: 'function';
        function: { name?: string; arguments: string };
      }[];
    };
    finish_reason: FinishReason | null;
  }[];
  usage?: Usage;
}

export interface Completion {
  id: string;
  object: 'text_completion';
  created: number;
  model: string;
  system_fingerprint: string;
  choices: { index: number; text: string; finish_reason: 'stop' | 'length'; logprobs: null }[];
  usage?: Usage;
}

export interface CallOptions {
  signal?: AbortSignal | null;
}

export interface ChatCompletions {
  create(request: ChatRequest & { stream: true }, options?: CallOptions): Promise<AsyncIterable<ChatCompletionChunk>>;
  create(request: ChatRequest & { stream?: false | null }, options?: CallOptions): Promise<ChatCompletion>;
  create(request: ChatRequest, options?: CallOptions): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>>;
}

export interface Completions {
  create(request: CompletionRequest & { stream: true }, options?: CallOptions): Promise<AsyncIterable<Completion>>;
  create(request: CompletionRequest & { stream?: false | null }, options?: CallOptions): Promise<Completion>;
  create(request: CompletionRequest, options?: CallOptions): Promise<Completion | AsyncIterable<Completion>>;
}

/** What OpenAI's client has, as far as a model in the page can do it. */
export interface OpenAIShape {
  chat: { completions: ChatCompletions };
  completions: Completions;
}
