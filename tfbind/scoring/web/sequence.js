// The letters of a sequence in numbered lines of blocks of ten, its sites coloured by strength. A click or the arrow
// keys choose a base; a button beside it, or the key of a letter, changes it.

const BLOCK = 10
const GAP = 0.5 // between blocks, in letters
const MOST_LETTERS = 100 // in a line
const BASES = ["A", "C", "G", "T"]
const MOVES = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }

const column = (place) => place + Math.floor(place / BLOCK) * GAP // of the letter at `place` of a line, in letters
const clamp = (value, low, high) => Math.min(Math.max(value, low), high)

function make(parent, tag, className, text = "") {
  const element = document.createElement(tag)
  element.className = className
  element.textContent = text
  parent.append(element)
  return element
}

// For each letter the site over it, the strongest where they overlap; sites come weakest first.
function sitesByLetter(data) {
  const sites = new Array(data.letters.length).fill(null)
  for (const site of data.sites) sites.fill(site, site.start, site.end)
  return sites
}

function drawLine(parent, view, start, end) {
  const line = make(parent, "div", "sequence-line")
  make(line, "span", "sequence-number", (view.data.first + start).toLocaleString("en-US"))
  const letters = make(line, "span", "sequence-letters")
  letters.dataset.start = start
  for (let from = start, to = from + 1; from < end; from = to++) {
    const inBlock = () => (to - start) % BLOCK !== 0
    const alike = () => view.sites[to] === view.sites[from] && view.changed.has(to) === view.changed.has(from)
    while (to < end && inBlock() && alike()) to++
    const site = view.sites[from]
    const run = make(letters, "span", "", view.data.letters.slice(from, to))
    if (to < end && !inBlock()) run.style[site && view.sites[to] === site ? "paddingRight" : "marginRight"] = `${GAP}ch`
    if (view.changed.has(from)) run.classList.add("sequence-changed")
    if (!site) continue
    run.classList.add("sequence-site")
    run.classList.toggle("sequence-chosen", site.chosen)
    run.style.setProperty("--strength", `${Math.round(15 + 45 * site.strength)}%`)
    run.title = site.text
    if (site.strand === "+" && to === site.end) run.classList.add("sequence-forward")
    if (site.strand === "-" && from === site.start) run.classList.add("sequence-reverse")
  }
}

function drawLines(view) {
  const { box, data } = view
  const probe = make(box, "span", "sequence-letters", "0".repeat(BLOCK))
  const letter = probe.getBoundingClientRect().width / BLOCK
  probe.remove()
  const room = (box.clientWidth / letter - view.numberWidth) / (BLOCK + GAP)
  const perLine = clamp(Math.floor(room), 1, MOST_LETTERS / BLOCK) * BLOCK
  const lines = document.createDocumentFragment()
  for (let start = 0; start < data.letters.length; start += perLine) {
    drawLine(lines, { ...view, perLine }, start, Math.min(start + perLine, data.letters.length))
  }
  box.replaceChildren(lines)
  Object.assign(view, { letter, perLine })
}

function describe(view, place) {
  const site = view.sites[place]
  const text = `base ${view.data.letters[place]} at ${view.data.first + place}`
  return site ? `${text}, in the site ${site.text}` : text
}

// The mark around the chosen base, with the buttons that change it where they are open.
function drawMark(view) {
  const { box, data, perLine, place } = view
  box.querySelector(".sequence-mark")?.remove()
  const line = box.children[Math.floor(place / perLine)]
  if (!line) return
  const mark = make(line.querySelector(".sequence-letters"), "span", "sequence-mark")
  mark.style.left = `${column(place % perLine)}ch`
  if (!view.open) return
  const menu = make(mark, "span", "sequence-menu")
  if ((place % perLine) * 2 > perLine) menu.classList.add("sequence-menu-left")
  for (const base of BASES.filter((base) => base !== data.letters[place])) {
    const button = make(menu, "button", "", base)
    button.ariaLabel = `change ${data.letters[place]} at ${data.first + place} to ${base}`
    button.onclick = (event) => {
      event.stopPropagation()
      change(view, base)
    }
  }
}

function scrollTo(view) {
  const line = view.box.children[Math.floor(view.place / view.perLine)]
  if (!line) return
  const above = line.offsetTop - view.box.scrollTop
  if (above < 0) view.box.scrollTop = line.offsetTop
  else if (above + line.offsetHeight > view.box.clientHeight) {
    view.box.scrollTop = line.offsetTop + line.offsetHeight - view.box.clientHeight
  }
}

function moveMark(view, place, open) {
  Object.assign(view, { place, open })
  drawMark(view)
}

function choose(view, place) {
  moveMark(view, place, true)
  view.send("chosen", place)
}

function change(view, base) {
  moveMark(view, view.place, false)
  view.send("changed", [view.place, base])
}

function onClick(view, event) {
  const letters = event.target.closest(".sequence-letters")
  if (!letters) return
  const across = (event.clientX - letters.getBoundingClientRect().left) / view.letter
  const block = Math.floor(across / (BLOCK + GAP))
  const inLine = block * BLOCK + Math.min(BLOCK - 1, Math.floor(across - block * (BLOCK + GAP)))
  const start = Number(letters.dataset.start)
  choose(view, clamp(start + inLine, start, Math.min(start + view.perLine, view.data.letters.length) - 1))
}

function onKey(view, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const moves = { ...MOVES, ArrowUp: -view.perLine, ArrowDown: view.perLine }
  const letter = event.key.toUpperCase()
  if (event.key in moves) {
    moveMark(view, clamp(view.place + moves[event.key], 0, view.data.letters.length - 1), false)
    scrollTo(view)
    view.spoken.textContent = describe(view, view.place)
  } else if (event.key === "Enter" && event.target === view.box) choose(view, view.place)
  else if (event.key === "Escape") moveMark(view, view.place, false)
  else if (BASES.includes(letter) && letter !== view.data.letters[view.place]) change(view, letter)
  else return
  event.preventDefault()
}

function mount(parent) {
  const view = { box: parent.querySelector(".sequence"), spoken: parent.querySelector(".sequence-spoken"), width: 0 }
  view.box.onclick = (event) => onClick(view, event)
  view.box.onkeydown = (event) => onKey(view, event)
  new ResizeObserver(() => {
    if (view.data && Math.abs(view.box.clientWidth - view.width) > 1) show(view)
  }).observe(view.box)
  return view
}

function show(view) {
  view.width = view.box.clientWidth
  drawLines(view)
  drawMark(view)
  scrollTo(view)
}

const views = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  if (!views.has(parentElement)) views.set(parentElement, mount(parentElement))
  const view = views.get(parentElement)
  const numbers = (data.first + data.letters.length).toLocaleString("en-US").length
  Object.assign(view, {
    data,
    send: setTriggerValue,
    place: data.position,
    open: view.open && view.place === data.position,
    sites: sitesByLetter(data),
    changed: new Set(data.changed),
    numberWidth: numbers + 2,
  })
  view.box.style.setProperty("--numbers", `${numbers}ch`)
  view.box.ariaLabel = data.label
  show(view)
}
