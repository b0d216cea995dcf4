// Settings as the two engines take them.
import type { AnswerOptions, GenerateOptions } from '../../src/index.js';
import { extraOf, type Settings, schemaOf, toolsOf } from './settings.js';

/** For the npm package. */
export function localOptions(s: Settings): GenerateOptions {
  const o: GenerateOptions = {
    maxTokens: s.maxTokens ?? Number.POSITIVE_INFINITY,
    temperature: s.temperature,
    topK: s.topK,
    topP: s.topP,
    minP: s.minP,
    repeatPenalty: s.repeatPenalty,
    presencePenalty: s.presencePenalty,
    frequencyPenalty: s.frequencyPenalty,
    typicalP: s.typicalP,
    xtcProbability: s.xtcProbability,
    xtcThreshold: s.xtcThreshold,
    dynamicTemperatureRange: s.dynamicTemperatureRange,
    dryMultiplier: s.dryMultiplier,
    dryBase: s.dryBase,
    dryAllowedLength: s.dryAllowedLength,
    onOverflow: s.overflow,
    stop: s.stop ? [s.stop] : [],
  };
  if (s.seed !== undefined) o.seed = s.seed;
  if (s.form === 'json' || s.form === 'schema') o.jsonSchema = schemaOf(s);
  if (s.form === 'grammar') o.grammar = s.grammar;
  return o;
}

/** For conversations, beside those. */
export function conversationOptions(s: Settings): AnswerOptions {
  const tools = toolsOf(s);
  return {
    ...(tools && { tools, toolChoice: s.toolChoice }),
    ...(s.reasoningEffort && { reasoningEffort: s.reasoningEffort }),
  };
}

/** For the server. */
export function serverOptions(s: Settings, chats: boolean): Record<string, unknown> {
  const tools = toolsOf(s);
  return {
    temperature: s.temperature,
    top_p: s.topP,
    top_k: s.topK,
    min_p: s.minP,
    repeat_penalty: s.repeatPenalty,
    presence_penalty: s.presencePenalty,
    frequency_penalty: s.frequencyPenalty,
    typical_p: s.typicalP,
    xtc_probability: s.xtcProbability,
    xtc_threshold: s.xtcThreshold,
    dynatemp_range: s.dynamicTemperatureRange,
    dry_multiplier: s.dryMultiplier,
    dry_base: s.dryBase,
    dry_allowed_length: s.dryAllowedLength,
    ...(s.maxTokens === undefined ? {} : { max_tokens: s.maxTokens }),
    ...(s.seed === undefined ? {} : { seed: s.seed }),
    ...(s.stop ? { stop: [s.stop] } : {}),
    ...(s.form === 'json' ? { response_format: { type: 'json_object' } } : {}),
    ...(s.form === 'schema' ? { json_schema: schemaOf(s) } : {}),
    ...(s.form === 'grammar' ? { grammar: s.grammar } : {}),
    ...(tools && chats ? { tools, tool_choice: s.toolChoice } : {}),
    ...(s.reasoningEffort && chats ? { reasoning_effort: s.reasoningEffort } : {}),
    ...extraOf(s),
  };
}
