/* Pages that are opened from the disk may not start workers: there the search runs in a hidden frame instead. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.srcdoc =
        "<script>self.postMessage = data => parent.dispatchEvent(new CustomEvent('from-frame', { detail: data }))" +
        "</scr" + 'ipt><script src="' + new URL(url, location.href) + '"></scr' + "ipt>"
      this.ready = new Promise(done => (frame.onload = done))
      this.frame = frame
      document.body.appendChild(frame)
      window.addEventListener("from-frame", event => {
        const message = new MessageEvent("message", { data: event.detail })
        this.dispatchEvent(message)
        if (this.onmessage) this.onmessage(message)
      })
    }
    postMessage(data) {
      this.ready.then(() => {
        const frame = this.frame.contentWindow
        frame.dispatchEvent(new frame.MessageEvent("message", { data }))
      })
    }
    terminate() {
      this.frame.remove()
    }
  }
}
