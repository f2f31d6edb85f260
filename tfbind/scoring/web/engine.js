// Scores DNA in a worker of the page. The network comes as a list of arrays in one block of float32 numbers; matrices
// are multiplied by a WebAssembly module, activations are (bases, channels).

const FLOAT = 4
const ROWS = 4 // bases that the module takes at once

const roundUp = (value, to) => Math.ceil(value / to) * to

class Network {
  constructor(exports, weights, member, { length, tile, epsilon }) {
    Object.assign(this, { exports, member, epsilon, channels: member.channels })
    this.margin = Math.max(...member.layers.map((layer) => (layer.kernel - 1) / 2)) + ROWS
    this.capacity = roundUp(length ?? tile + 2 * member.reach, ROWS)
    let free = 0
    const reserve = (numbers) => (free = roundUp(free + numbers, 64)) - roundUp(numbers, 64)
    this.layers = member.layers.map((layer) => ({
      ...layer,
      matrix: reserve(layer.matrix[1]),
      bias: reserve(layer.bias[1]),
    }))
    const rows = this.capacity + 2 * this.margin + ROWS
    this.input = reserve(rows * ROWS)
    this.buffers = [0, 1, 2].map(() => reserve(rows * this.channels))
    const base = exports.memory.buffer.byteLength
    exports.memory.grow(Math.ceil((free * FLOAT) / 65536) + 1)
    this.base = base
    this.numbers = new Float32Array(exports.memory.buffer, base)
    member.layers.forEach((layer, index) => {
      for (const part of ["matrix", "bias"]) {
        const [start, size] = layer[part]
        this.numbers.set(weights.subarray(start, start + size), this.layers[index][part])
      }
    })
    this.norms = member.layers.map((layer) =>
      layer.scale ? [layer.scale, layer.shift].map(([start, size]) => weights.subarray(start, start + size)) : null,
    )
    const [start, size] = member.final
    this.final = weights.subarray(start, start + size)
  }

  address(place) {
    return this.base + place * FLOAT
  }

  // From the buffer `from` into the buffer `to`: convolution, norm, the residual if there is one, ReLU.
  convolve(index, from, width, to, bases, residual) {
    const layer = this.layers[index]
    const norm = this.norms[index]
    const source = from + (this.margin - (layer.kernel - 1) / 2) * width
    const inside = this.margin * this.channels
    this.exports.gemm(
      this.address(source),
      this.address(layer.matrix),
      this.address(layer.bias),
      residual !== undefined && !norm ? this.address(residual + inside) : 0,
      this.address(to + inside),
      roundUp(bases, ROWS),
      width * FLOAT,
      layer.kernel * width,
      this.channels,
      norm ? 0 : 1,
    )
    if (norm) this.normalise(norm, to + inside, bases, residual === undefined ? -1 : residual + inside)
    const end = to + inside + bases * this.channels
    this.numbers.fill(0, end, end + (this.margin + ROWS) * this.channels) // what lies outside counts as zero
  }

  // Layer norm over a whole window, channels and bases; channels beyond the real ones are zero and stay so.
  normalise([scale, shift], start, bases, residual) {
    const { numbers, channels, member } = this
    const count = bases * member.real
    let sum = 0
    let squares = 0
    for (let i = start; i < start + bases * channels; i++) sum += numbers[i]
    const mean = sum / count
    for (let row = 0; row < bases; row++) {
      for (let channel = 0; channel < member.real; channel++) {
        squares += (numbers[start + row * channels + channel] - mean) ** 2
      }
    }
    const factor = 1 / Math.sqrt(squares / count + this.epsilon)
    for (let row = 0; row < bases; row++) {
      for (let channel = 0; channel < member.real; channel++) {
        const place = row * channels + channel
        let value = (numbers[start + place] - mean) * factor * scale[place] + shift[place]
        if (residual >= 0) value += numbers[residual + place]
        numbers[start + place] = Math.max(0, value)
      }
    }
  }

  scores(codes) {
    const bases = codes.length
    const { numbers, margin, channels } = this
    numbers.fill(0, this.input, this.input + (bases + 2 * margin + ROWS) * 4)
    for (let base = 0; base < bases; base++) {
      if (codes[base] < 4) numbers[this.input + (margin + base) * 4 + codes[base]] = 1
    }
    let [x, inner, out] = this.buffers
    this.convolve(0, this.input, 4, x, bases)
    for (let index = 1; index < this.layers.length; index += 2) {
      this.convolve(index, x, channels, inner, bases)
      this.convolve(index + 1, inner, channels, out, bases, x)
      ;[x, out] = [out, x]
    }
    const result = new Float32Array(bases)
    const bias = this.final[channels]
    for (let base = 0; base < bases; base++) {
      const row = x + (margin + base) * channels
      let sum = bias
      for (let channel = 0; channel < channels; channel++) sum += this.final[channel] * numbers[row + channel]
      result[base] = sum
    }
    return result
  }
}

// The mean of the members' scores of codes that are one tile, or one window.
function scoreTile(networks, codes) {
  const sum = new Float32Array(codes.length)
  for (const network of networks) network.scores(codes).forEach((score, base) => (sum[base] += score))
  return sum.map((score) => score / networks.length)
}

// Scores of the bases from `start` to `end`, of a model whose scores depend on `reach` bases on either side.
function scoreLocal(networks, codes, start, end, reach) {
  const from = Math.max(0, start - reach)
  return scoreTile(networks, codes.subarray(from, Math.min(codes.length, end + reach))).slice(
    start - from,
    end - from,
  )
}

// Windows of a fixed length every half of it; each base has the score of the window in which it is most central. What
// is shorter than a window is filled up with N on both sides.
function scoreFixed(networks, codes, length) {
  const missing = Math.max(0, length - codes.length)
  const before = Math.floor(missing / 2)
  const filled = new Uint8Array(codes.length + missing).fill(4)
  filled.set(codes, before)
  const last = filled.length - length
  const starts = []
  for (let start = 0; start < last; start += Math.max(1, Math.floor(length / 2))) starts.push(start)
  starts.push(last)
  const scores = new Float32Array(filled.length)
  const nearest = new Float32Array(filled.length).fill(Infinity)
  for (const start of starts) {
    scoreTile(networks, filled.subarray(start, start + length)).forEach((score, place) => {
      const away = Math.abs(place - (length - 1) / 2)
      if (away >= nearest[start + place]) return
      nearest[start + place] = away
      scores[start + place] = score
    })
  }
  return scores.slice(before, before + codes.length)
}

let networks
let model

self.onmessage = async ({ data }) => {
  if (data.module) {
    model = data.model
    const weights = new Float32Array(data.weights)
    networks = []
    for (const member of model.members) {
      const instance = await WebAssembly.instantiate(data.module)
      networks.push(new Network(instance.exports, weights, member, model))
    }
    return self.postMessage({ ready: true })
  }
  const { id, codes, start, end } = data
  const scores = model.length ? scoreFixed(networks, codes, model.length) : scoreLocal(networks, codes, start, end, model.reach)
  self.postMessage({ id, start, scores }, [scores.buffer])
}
