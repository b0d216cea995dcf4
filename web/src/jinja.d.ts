/** The part of @huggingface/jinja that dist/jinja.js contains. */
export class Template {
  constructor(template: string);
  render(values: Record<string, unknown>): string;
}
