// The theme draws diagrams with `mermaid`, and would load it from another host. This one loads the site's own copy,
// on the first page that has a diagram.
const source = new URL("mermaid.js", document.currentScript.src);
let settings;

function load() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source.href;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}

window.mermaid = {
  initialize(given) {
    settings = given;
  },
  async render(...diagram) {
    const standIn = window.mermaid;
    this.loading ??= load().then(() => window.mermaid.initialize(settings));
    await this.loading;
    return window.mermaid === standIn ? Promise.reject(new Error("no mermaid")) : window.mermaid.render(...diagram);
  },
};
