// Data of the page: JSON in elements of their own, much of it compressed.
const data = {
  async read(block) {
    if (block.dataset.packed === undefined) return JSON.parse(block.textContent);
    const bytes = Uint8Array.from(atob(block.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  },
};
