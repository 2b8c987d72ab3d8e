// Entry of all convolutions of an instruction set.

static void conv_run(const ck_conv *conv, ck_pool *pool, int n, const float *packed, const ck_operand *operand, const ck_epilogue *epilogue) {
  if (n <= 0) return;
  conv_job job = {
      .conv = conv, .geometry = ck_geometry(conv), .pool = pool, .packed = packed, .operand = operand, .epilogue = epilogue, .n = n, .parts = 1};
  job.words = conv->bfloat16 ? bfloat16_words() : WORDS_FLOATS;
  job.position_words = job.words == WORDS_BFLOAT16_PAIRS ? CK_LANES / 2 : CK_LANES;
  switch (conv->algorithm) {
    case CK_CONV_DIRECT: run_direct(&job); break;
    case CK_CONV_POINTWISE: run_pointwise(&job); break;
    case CK_CONV_WINOGRAD: run_winograd(&job); break;
    case CK_CONV_DEPTHWISE: run_depthwise(&job); break;
    case CK_CONV_STEM: run_stem(&job); break;
  }
}
