// Small drawings as SVG. Everything that they show stands beside them as text, so they are hidden from screen readers.

function svg(tag, attributes, parent) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
}

// A line of the last values; set(values) draws it anew.
export class Sparkline {
  constructor(width, height, tone = '') {
    this.width = width;
    this.height = height;
    this.drawn = '';
    this.node = svg('svg', {class: `spark ${tone}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true'});
    this.area = svg('path', {class: 'area', d: ''}, this.node);
    this.line = svg('path', {class: 'stroke', d: '', 'vector-effect': 'non-scaling-stroke'}, this.node);
  }

  set(values, floor = 0) {
    const most = Math.max(...values, floor + 1e-9);
    const step = values.length > 1 ? this.width / (values.length - 1) : 0;
    const y = value => (this.height - 1.5 - (value / most) * (this.height - 3)).toFixed(1);
    const points = values.length === 1 ? [`0 ${y(values[0])}`, `${this.width} ${y(values[0])}`]
      : values.map((value, at) => `${(at * step).toFixed(1)} ${y(value)}`);
    const drawn = points.length > 0 ? `M${points.join('L')}` : '';
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.line.setAttribute('d', drawn);
    this.area.setAttribute('d', drawn && `${drawn}L${this.width} ${this.height}L0 ${this.height}Z`);
  }
}

// A bar that is filled from the left.
export class Bar {
  constructor() {
    this.node = svg('svg', {class: 'fill', viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true'});
    svg('rect', {class: 'back', width: 100, height: 6}, this.node);
    this.rect = svg('rect', {class: 'front', width: 0, height: 6}, this.node);
    this.drawn = '';
  }

  set(fraction, tone) {
    const width = (Math.min(Math.max(fraction, 0), 1) * 100).toFixed(1);
    if (`${width} ${tone}` === this.drawn) return;
    this.drawn = `${width} ${tone}`;
    this.rect.setAttribute('width', width);
    this.rect.setAttribute('class', `front ${tone}`);
  }
}
