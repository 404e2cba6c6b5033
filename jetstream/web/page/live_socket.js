// The one WebSocket, with pictures of the cameras in sight, and with news. It comes back by itself.

const CREDITS = 3;
const decoder = new TextDecoder();

export class LiveSocket {
  constructor() {
    this.tiles = new Map(); // by camera: {width, fps, draw}
    this.state = "closed";
    this.stateListeners = new Set();
    this.news = null; // {sightings, gallery}, as the server told it last
    this.newsListeners = new Set();
    this.headerListeners = new Set();
    this.waitMs = 250;
    this.socket = null;
  }

  open() {
    if (this.socket) return;
    this.wanted = true;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.setState("opening");
    socket.onopen = () => {
      this.waitMs = 250;
      this.setState("open");
      this.demand(CREDITS);
    };
    socket.onmessage = (event) => this.take(event.data);
    socket.onclose = (event) => {
      this.socket = null;
      this.setState(event.code === 1008 ? "refused" : "closed");
      if (!this.wanted || event.code === 1008) return;
      setTimeout(() => this.wanted && this.open(), this.waitMs);
      this.waitMs = Math.min(5000, this.waitMs * 2);
    };
  }

  close() {
    this.wanted = false;
    this.socket?.close();
  }

  /** Have `draw` called with each picture of `camera` and its header; returns how to stop that. */
  show(camera, width, fps, draw) {
    this.tiles.set(camera, { width, fps, draw });
    this.demand();
    return () => {
      if (this.tiles.get(camera)?.draw !== draw) return;
      this.tiles.delete(camera);
      this.demand();
    };
  }

  onState(heard) {
    this.stateListeners.add(heard);
    heard(this.state);
    return () => this.stateListeners.delete(heard);
  }

  /** Call `heard` when `news` changed, and after each reconnection; returns how to stop that. */
  onNews(heard) {
    this.newsListeners.add(heard);
    return () => this.newsListeners.delete(heard);
  }

  /** Call `heard` with the header of each picture; returns how to stop that. */
  onHeader(heard) {
    this.headerListeners.add(heard);
    return () => this.headerListeners.delete(heard);
  }

  tell(news) {
    this.news = news;
    for (const heard of this.newsListeners) heard();
  }

  setState(state) {
    this.state = state;
    for (const heard of this.stateListeners) heard(state);
  }

  demand(credits = 0) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const show = [...this.tiles].map(([camera, { width, fps }]) => ({ camera, width, fps }));
    this.socket.send(JSON.stringify({ show, credits }));
  }

  async take(data) {
    if (typeof data === "string") return this.tell(JSON.parse(data).news);
    const size = new DataView(data).getUint32(0, true);
    const header = JSON.parse(decoder.decode(new Uint8Array(data, 4, size)));
    for (const heard of this.headerListeners) heard(header);
    try {
      const tile = this.tiles.get(header.camera);
      if (tile) {
        const picture = await createImageBitmap(new Blob([new Uint8Array(data, 4 + size)], { type: "image/jpeg" }));
        tile.draw(picture, header);
        picture.close();
      }
    } finally {
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send('{"credits":1}');
    }
  }
}

export const live = new LiveSocket();
