// How answers are made: what the drawer sets, and what is remembered of it.

import type { ReasoningEffort } from '../../src/index.js';
import { recall, remember } from '../lib/storage.js';

export type Form = 'text' | 'json' | 'schema' | 'grammar';

export interface Settings {
  temperature: number;
  topP: number;
  topK: number;
  minP: number;
  repeatPenalty: number;
  presencePenalty: number;
  frequencyPenalty: number;
  typicalP: number;
  xtcProbability: number;
  xtcThreshold: number;
  dynamicTemperatureRange: number;
  dryMultiplier: number;
  dryBase: number;
  dryAllowedLength: number;
  /** undefined: as many as there is room for. */
  maxTokens: number | undefined;
  /** undefined: another one each time. */
  seed: number | undefined;
  stop: string;
  overflow: 'error' | 'truncate' | 'shift';
  form: Form;
  schema: string; // JSON
  grammar: string; // GBNF
  useTools: boolean;
  tools: string; // JSON
  toolChoice: 'auto' | 'required';
  /** '': the model's default. */
  reasoningEffort: '' | ReasoningEffort;
  system: string;
  /** JSON, an object that is added to requests to the server; '': nothing. */
  extra: string;
  enterSends: boolean;
}

export const exampleSchema = `{
  "type": "object",
  "properties": {
    "name": { "type": "string" },
    "age": { "type": "integer" }
  },
  "required": ["name", "age"],
  "additionalProperties": false
}`;

export const exampleTools = `[
  {
    "type": "function",
    "function": {
      "name": "get_weather",
      "description": "Tells the weather in a city",
      "parameters": {
        "type": "object",
        "properties": { "city": { "type": "string" } },
        "required": ["city"]
      }
    }
  }
]`;

export const defaults: Settings = {
  temperature: 0.8,
  topP: 0.95,
  topK: 40,
  minP: 0.05,
  repeatPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  typicalP: 1,
  xtcProbability: 0,
  xtcThreshold: 0.1,
  dynamicTemperatureRange: 0,
  dryMultiplier: 0,
  dryBase: 1.75,
  dryAllowedLength: 2,
  maxTokens: undefined,
  seed: undefined,
  stop: '',
  overflow: 'error',
  form: 'text',
  schema: exampleSchema,
  grammar: 'root ::= "yes" | "no"\n',
  useTools: false,
  tools: exampleTools,
  toolChoice: 'auto',
  reasoningEffort: '',
  system: '',
  extra: '',
  enterSends: true,
};

/** What is wrong with settings that the visitor wrote. */
export class SettingsError extends Error {
  readonly code = 'invalid-argument';
}

/** The schema that answers are held to. */
export function schemaOf(s: Settings): object | boolean {
  if (s.form === 'json') return true;
  const v = parse('The JSON schema', s.schema);
  if (typeof v === 'boolean' || (typeof v === 'object' && v !== null && !Array.isArray(v))) return v;
  throw new SettingsError('The JSON schema: want an object, { "type": … }');
}

/** The tools that the model may call, undefined if there are none. */
export function toolsOf(s: Settings): object[] | undefined {
  if (!s.useTools) return undefined;
  const v = parse('Tools', s.tools);
  if (!Array.isArray(v)) throw new SettingsError('Tools: want a list, [{ "type": "function", … }]');
  v.forEach((t: { type?: unknown; function?: { name?: unknown } } | null, i) => {
    if (t?.type !== 'function' || typeof t.function?.name !== 'string')
      throw new SettingsError(`Tools: entry ${i + 1}: want { "type": "function", "function": { "name": … } }`);
  });
  return v.length > 0 ? v : undefined;
}

/** What is added to requests to the server. */
export function extraOf(s: Settings): object {
  if (s.extra.trim() === '') return {};
  const v = parse('More for the server', s.extra);
  if (typeof v === 'object' && v !== null && !Array.isArray(v)) return v;
  throw new SettingsError('More for the server: want an object, { "name": value }');
}

function parse(what: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (e) {
    throw new SettingsError(`${what}: this is not JSON: ${(e as Error).message}`);
  }
}

/** What is wrong with the settings, undefined if nothing is. */
export function wrong(s: Settings): string | undefined {
  try {
    if (s.form === 'schema') schemaOf(s);
    if (s.form === 'grammar' && !s.grammar.includes('::=')) return 'The grammar has no rule: want root ::= …';
    if (s.useTools && s.form !== 'text')
      return 'Tools and a form of the answer exclude each other: turn one of them off.';
    toolsOf(s);
    extraOf(s);
    return undefined;
  } catch (e) {
    return (e as Error).message;
  }
}

/** The settings that are one of several words. */
export const choices = {
  form: ['text', 'json', 'schema', 'grammar'],
  overflow: ['error', 'truncate', 'shift'],
  toolChoice: ['auto', 'required'],
  reasoningEffort: ['', 'none', 'minimal', 'low', 'medium', 'high', 'xhigh'],
} as const satisfies { [N in keyof Settings]?: readonly Settings[N][] };
/** Does not compile if an effort that the package takes is missing above. */
true satisfies Exclude<ReasoningEffort, (typeof choices.reasoningEffort)[number]> extends never ? true : false;

const storage = 'llama-webgpu-settings';

/** What is remembered, with defaults for all that is missing or of another type. */
export function restore(text: string | null): Settings {
  const s: Settings = { ...defaults };
  try {
    const kept = JSON.parse(text ?? '{}') as Partial<Record<keyof Settings, unknown>>;
    for (const name of Object.keys(defaults) as (keyof Settings)[]) {
      const v = kept[name];
      const same = typeof v === typeof defaults[name] || (defaults[name] === undefined && typeof v === 'number');
      if (same && !(typeof v === 'number' && !Number.isFinite(v))) Object.assign(s, { [name]: v });
    }
  } catch {
    return { ...defaults };
  }
  for (const [name, values] of Object.entries<readonly string[]>(choices))
    if (!values.includes(s[name as keyof typeof choices]))
      Object.assign(s, { [name]: defaults[name as keyof Settings] });
  return s;
}

export function load(): Settings {
  return restore(recall(storage));
}

export function keep(s: Settings): void {
  remember(storage, JSON.stringify(s));
}
