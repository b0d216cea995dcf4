// The address and the browser's history follow the conversation that is shown: Back goes to the one before.
import type { Chats } from './chats.js';

export class Trail {
  private id = ''; // of the conversation that is shown
  private going = false; // back or forward

  constructor(private readonly chats: Chats) {
    addEventListener('popstate', () => this.go());
  }

  private go(): void {
    const id = location.hash.slice(1);
    const found = this.chats.list.find((c) => c.id === id);
    this.going = true;
    if (found && found !== this.chats.current) this.chats.select(found);
    else if (!found && this.chats.current.messages.length > 0) this.chats.begin();
    this.going = false;
  }

  /** Takes the conversation that is shown into the address. */
  shown(): void {
    const { id, title, messages } = this.chats.current;
    const kept = messages.length > 0;
    document.title = kept ? `${title} · llama-webgpu` : 'llama-webgpu';
    const url = kept ? `#${id}` : location.pathname + location.search;
    const other = this.id !== '' && this.id !== id && !this.going;
    this.id = id;
    if (other && (kept || location.hash)) history.pushState(null, '', url);
    else history.replaceState(null, '', url);
  }

  /** Takes what the page was asked out of the address, so that a reload does not ask it again. */
  forget(): void {
    history.replaceState(null, '', location.pathname + location.hash);
  }
}
