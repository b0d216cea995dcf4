import { run } from './main.js';

const out = document.querySelector('#out');
run(out).then(tell);

/** Tells the page in which this one is a frame. */
function tell() {
  parent.postMessage({ state: document.body.dataset.state, text: out.textContent }, '*');
}
