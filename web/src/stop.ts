/** Lets text through until a stop string appears. What may turn out to begin one is held back. */
export class Stopper {
  private held = '';
  stopped = false;

  constructor(private readonly stops: readonly string[]) {}

  push(text: string): string {
    this.held += text;
    const found = this.stops.map((s) => this.held.indexOf(s)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.stopped = true;
      return this.held.slice(0, Math.min(...found));
    }
    const keep = Math.max(0, ...this.stops.map((s) => overlap(this.held, s)));
    const show = this.held.slice(0, this.held.length - keep);
    this.held = this.held.slice(show.length);
    return show;
  }

  /** The rest, when the text is over. */
  flush(): string {
    return this.stopped ? '' : this.held;
  }
}

/** How many characters at the end of text are the beginning, but not all, of stop. */
function overlap(text: string, stop: string): number {
  for (let n = Math.min(text.length, stop.length - 1); n > 0; n--) if (text.endsWith(stop.slice(0, n))) return n;
  return 0;
}
