// capped: scale and softcap of products.
fn capped(product: f32) -> f32 {
  let v = product * shape.scale;
  if (shape.softcap == 0.0) { return v; }
  return shape.softcap * tanh(clamp(v / shape.softcap, -15.0, 15.0));
}
