// put scales, caps and stores a product as element i of y, and returns the element.
fn put(i: u32, product: f32) -> f32 {
  var v = capped(product);
  if (shape.add == 1u) { v += y[i]; }
  y[i] = v;
  return v;
}
