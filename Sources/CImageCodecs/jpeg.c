// JPEG through libjpeg-turbo; errors jump back to the guarded functions of this file only.
#include "internal.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

// A file of more scans than this is an attack: each scan walks the whole picture.
enum { MAX_SCANS = 100, CHUNK = 16384 };

// The first member lets the library's callbacks find the rest. Outlives the guarded functions, so that nothing is lost by a jump.
typedef struct {
  struct jpeg_error_mgr errors;
  jmp_buf back;
  char *message;
  cic_status status;
} jpeg_guard;

typedef struct {
  jpeg_guard guard;
  struct jpeg_decompress_struct codec;
  struct jpeg_progress_mgr progress;
  const uint8_t *data;
  size_t size;
  uint64_t max_pixels;
  cic_image *image;
  uint8_t *inks;
} decode_work;

typedef struct {
  jpeg_guard guard;
  struct jpeg_compress_struct codec;
  struct jpeg_destination_mgr destination;
  const uint8_t *rgb;
  uint32_t width, height;
  int quality, optimized;
  cic_bytes *encoded;
  size_t capacity;
  uint8_t chunk[CHUNK];
} encode_work;

static void fail(jpeg_guard *guard, cic_status status, const char *text) {
  guard->status = status;
  cic_say(guard->message, text);
  longjmp(guard->back, 1);
}

static void on_error(j_common_ptr codec) {
  jpeg_guard *guard = (jpeg_guard *)codec->err;
  char text[JMSG_LENGTH_MAX];
  codec->err->format_message(codec, text);
  fail(guard, codec->err->msg_code == JERR_OUT_OF_MEMORY ? CIC_NO_MEMORY : guard->status, text);
}

// Warnings of damaged picture data, after which the library would go on with grey or noise, are errors; the harmless ones pass.
static void on_message(j_common_ptr codec, int level) {
  if (level >= 0) return;
  switch (codec->err->msg_code) {
  case JWRN_HIT_MARKER:
  case JWRN_HUFF_BAD_CODE:
  case JWRN_ARITH_BAD_CODE:
  case JWRN_MUST_RESYNC:
  case JWRN_JPEG_EOF:
    on_error(codec);
  }
}

static void guard_start(jpeg_guard *guard, cic_status assumed, char *message) {
  jpeg_std_error(&guard->errors);
  guard->errors.error_exit = on_error;
  guard->errors.emit_message = on_message;
  guard->message = message;
  guard->status = assumed;
}

static boolean at_end_of_data(j_decompress_ptr codec) {
  fail((jpeg_guard *)codec->err, CIC_CORRUPT, "the file ends early");
  return FALSE;
}

static void on_progress(j_common_ptr codec) {
  if (((j_decompress_ptr)codec)->input_scan_number > MAX_SCANS) fail((jpeg_guard *)codec->err, CIC_CORRUPT, "more than 100 scans");
}

// round(a b / 255) for bytes
static inline int product255(int a, int b) {
  int t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

// Inverted CMYK: the bytes are 255 - ink.
static void multiply_inks(const uint8_t *inks, uint8_t *rgb, uint32_t width) {
  for (uint32_t x = 0; x < width; x++, inks += 4, rgb += 3) {
    int light = inks[3];
    for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)(light - product255(255 - inks[c], light));
  }
}

static void decode(decode_work *work) {
  struct jpeg_decompress_struct *codec = &work->codec;
  if (setjmp(work->guard.back)) return;
  jpeg_create_decompress(codec);
  work->progress.progress_monitor = on_progress;
  codec->progress = &work->progress;
  jpeg_mem_src(codec, work->data, (unsigned long)work->size);
  codec->src->fill_input_buffer = at_end_of_data;
  jpeg_read_header(codec, TRUE);

  cic_image *image = work->image;
  image->width = codec->image_width;
  image->height = codec->image_height;
  char text[CIC_MESSAGE_SIZE];
  int components = codec->num_components;
  if (components != 1 && components != 3 && components != 4) {
    snprintf(text, sizeof text, "a JPEG of %d components", components);
    fail(&work->guard, CIC_UNSUPPORTED, text);
  }
  cic_status status = cic_allocate(image, work->max_pixels, text);
  if (status != CIC_OK) fail(&work->guard, status, text);

  codec->out_color_space = components == 4 ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(codec);
  size_t stride = (size_t)image->width * 3;
  if (components == 4) {
    work->inks = malloc((size_t)image->width * 4);
    if (!work->inks) fail(&work->guard, CIC_NO_MEMORY, "no memory for a row");
  }
  while (codec->output_scanline < codec->output_height) {
    uint8_t *row = image->pixels + stride * codec->output_scanline;
    JSAMPROW target = work->inks ? work->inks : row;
    jpeg_read_scanlines(codec, &target, 1);
    if (work->inks) multiply_inks(work->inks, row, image->width);
  }
  jpeg_finish_decompress(codec);
  work->guard.status = CIC_OK;
}

static void start_destination(j_compress_ptr codec) {
  encode_work *work = codec->client_data;
  work->destination.next_output_byte = work->chunk;
  work->destination.free_in_buffer = CHUNK;
}

static void keep(encode_work *work, size_t count) {
  if (!cic_append(work->encoded, &work->capacity, work->chunk, count)) fail(&work->guard, CIC_NO_MEMORY, "no memory for the file");
}

static boolean empty_destination(j_compress_ptr codec) {
  keep(codec->client_data, CHUNK);
  start_destination(codec);
  return TRUE;
}

static void finish_destination(j_compress_ptr codec) {
  encode_work *work = codec->client_data;
  keep(work, CHUNK - work->destination.free_in_buffer);
}

static void encode(encode_work *work) {
  struct jpeg_compress_struct *codec = &work->codec;
  if (setjmp(work->guard.back)) return;
  jpeg_create_compress(codec);
  codec->client_data = work;
  work->destination.init_destination = start_destination;
  work->destination.empty_output_buffer = empty_destination;
  work->destination.term_destination = finish_destination;
  codec->dest = &work->destination;
  codec->image_width = work->width;
  codec->image_height = work->height;
  codec->input_components = 3;
  codec->in_color_space = JCS_RGB;
  jpeg_set_defaults(codec);
  jpeg_set_quality(codec, work->quality, TRUE);
  codec->optimize_coding = work->optimized ? TRUE : FALSE;
  jpeg_start_compress(codec, TRUE);
  while (codec->next_scanline < codec->image_height) {
    JSAMPROW row = (JSAMPROW)(work->rgb + (size_t)work->width * 3 * codec->next_scanline);
    jpeg_write_scanlines(codec, &row, 1);
  }
  jpeg_finish_compress(codec);
  work->guard.status = CIC_OK;
}

cic_status cic_jpeg_decode(const uint8_t *data, size_t size, uint64_t max_pixels, cic_image *out, char *message) {
  *out = (cic_image){0};
  decode_work work = {.data = data, .size = size, .max_pixels = max_pixels, .image = out};
  guard_start(&work.guard, CIC_CORRUPT, message);
  work.codec.err = &work.guard.errors;
  decode(&work);
  jpeg_destroy_decompress(&work.codec);
  free(work.inks);
  if (work.guard.status != CIC_OK) {
    free(out->pixels);
    *out = (cic_image){0};
  }
  return work.guard.status;
}

cic_status cic_jpeg_encode(const uint8_t *rgb, uint32_t width, uint32_t height, int quality, int optimized, cic_bytes *out,
                           char *message) {
  *out = (cic_bytes){0};
  encode_work work = {.rgb = rgb, .width = width, .height = height, .quality = quality, .optimized = optimized, .encoded = out};
  guard_start(&work.guard, CIC_UNSUPPORTED, message);
  work.codec.err = &work.guard.errors;
  encode(&work);
  jpeg_destroy_compress(&work.codec);
  if (work.guard.status != CIC_OK) {
    free(out->bytes);
    *out = (cic_bytes){0};
  }
  return work.guard.status;
}
