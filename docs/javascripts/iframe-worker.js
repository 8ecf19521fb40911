// A browser starts no worker for a page that was opened from disk, and the search of this site is one. There its script
// runs in a hidden frame instead, which is asked and answers in the same way. The theme looks for the name IFrameWorker,
// and for "iframe-worker" in the name of this file: without either it would load the same from another host.
(() => {
  "use strict";
  if (location.protocol !== "file:") return;
  class IFrameWorker extends EventTarget {
    #inside;
    #ready;

    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.#inside = frame.contentWindow;
      this.#inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.#inside.importScripts = (...urls) => urls.reduce((before, next) => before.then(() => this.#load(next)), Promise.resolve());
      this.#ready = this.#load(url);
    }

    #load(url) {
      return new Promise((loaded, failed) => {
        const script = this.#inside.document.createElement("script");
        script.src = url;
        script.onload = loaded;
        script.onerror = () => failed(new Error(`${url} can't be read`));
        this.#inside.document.body.append(script);
      });
    }

    postMessage(data) {
      this.#ready.then(() => this.#inside.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.#inside.frameElement.remove();
    }
  }
  window.IFrameWorker = IFrameWorker;
  window.Worker = IFrameWorker;
})();
