/** @huggingface/jinja, as it is bundled into dist/jinja.js. */
export class Template {
  constructor(template: string);
  render(values: Record<string, unknown>): string;
}
