// Renders the goldens of format/tokenizer/chat/testdata with the Jinja library of the package: node test/jinja.mjs.
// Writes a line of JSON for each rendering that differs, {template, extra, chat, want, got}, and {count} at the end.
// want and got are texts, or {error}.
import { readFileSync } from 'node:fs';
import { render as bounded } from '../dist/template.js';

const testdata = new URL('../../format/tokenizer/chat/testdata/', import.meta.url);
const read = (name) => readFileSync(new URL(name, testdata), 'utf8');
const { bos, eos, extras, chats, goldens } = JSON.parse(read('goldens.json'));

// The goldens were made at this moment, with the days and months of Greenwich.
process.env.TZ = 'UTC';
const then = new Date('2025-03-09T08:05:07Z');
globalThis.Date = class extends Date {
  constructor(...args) {
    super(...(args.length > 0 ? args : [then]));
  }
};

function render(source, values) {
  try {
    return bounded(source, { bos_token: bos, eos_token: eos, ...values });
  } catch (e) {
    return { error: e.message };
  }
}

let count = 0;
for (const { template, extra, chat, prompt, want } of goldens) {
  count++;
  const values = { ...extras[extra], messages: chats[chat], add_generation_prompt: prompt };
  const got = render(read(`templates/${template}.jinja`), values);
  const same =
    typeof want === 'string'
      ? got === want.replaceAll('"scale": 1.0', '"scale": 1') // JavaScript has one kind of numbers
      : got.error !== undefined;
  if (!same) console.log(JSON.stringify({ template, extra, chat, want, got }));
}
console.log(JSON.stringify({ count }));
