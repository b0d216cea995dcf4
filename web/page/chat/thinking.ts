// Models that think write their thoughts into the text, between tags. This takes the two apart.

export interface Parts {
  reasoning: string;
  text: string;
  /** The thoughts have not ended. */
  thinking: boolean;
}

const tags: [open: string, close: string][] = [
  ['<think>', '</think>'],
  ['<thinking>', '</thinking>'],
  ['<reasoning>', '</reasoning>'],
];

/**
 * Splits an answer, which may be unfinished. Thoughts come first; some templates write the tag that opens them themselves, so
 * that the text has only the one that closes them.
 */
export function split(answer: string): Parts {
  const lead = answer.trimStart();
  for (const [open, close] of tags) {
    const opened = lead.startsWith(open);
    if (!opened && lead !== '' && open.startsWith(lead)) return { reasoning: '', text: '', thinking: true };
    const end = lead.indexOf(close);
    if (!opened && (end < 0 || lead.lastIndexOf(open, end) >= 0)) continue;
    const from = opened ? open.length : 0;
    if (end < 0) return { reasoning: uncut(lead.slice(from), close).trim(), text: '', thinking: true };
    return {
      reasoning: lead.slice(from, end).trim(),
      text: lead.slice(end + close.length).trimStart(),
      thinking: false,
    };
  }
  return { reasoning: '', text: answer, thinking: false };
}

/** A text without the beginning of a tag at its end. */
function uncut(text: string, tag: string): string {
  for (let n = Math.min(tag.length - 1, text.length); n > 0; n--)
    if (text.endsWith(tag.slice(0, n))) return text.slice(0, -n);
  return text;
}
