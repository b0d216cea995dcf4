// put scales, caps and stores a product as element i of y, and returns the element.
fn put(i: u32, product: f32) -> f32 {
  var v = product * shape.scale;
  if (shape.softcap != 0.0) { v = shape.softcap * tanh(clamp(v / shape.softcap, -15.0, 15.0)); }
  if (shape.add == 1u) { v += y[i]; }
  y[i] = v;
  return v;
}
