// PNG through libpng; errors jump back to the guarded function of this file only.
#include "internal.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

// Outlives the guarded functions, so that nothing of it is lost by a jump.
typedef struct {
  png_structp png;
  png_infop info;
  char *message;
  cic_status status;
  // decoding
  const uint8_t *data;
  size_t left;
  uint64_t max_pixels;
  cic_image *image;
  png_bytep *rows;
  // encoding
  const uint8_t *rgb;
  uint32_t width, height;
  int level;
  cic_bytes *encoded;
  size_t capacity;
} png_work;

static void on_error(png_structp png, png_const_charp text) {
  png_work *work = png_get_error_ptr(png);
  cic_say(work->message, text);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void fail(png_work *work, cic_status status, const char *text) {
  work->status = status;
  png_error(work->png, text);
}

static void read_bytes(png_structp png, png_bytep out, size_t count) {
  png_work *work = png_get_io_ptr(png);
  if (count > work->left) png_error(png, "the file ends early");
  memcpy(out, work->data, count);
  work->data += count;
  work->left -= count;
}

static void write_bytes(png_structp png, png_bytep bytes, size_t count) {
  png_work *work = png_get_io_ptr(png);
  if (!cic_append(work->encoded, &work->capacity, bytes, count)) fail(work, CIC_NO_MEMORY, "no memory for the file");
}

static void flush_nothing(png_structp png) { (void)png; }

static void decode(png_work *work) {
  png_structp png = work->png;
  png_infop info = work->info;
  if (setjmp(png_jmpbuf(png))) return;
  png_set_read_fn(png, work, read_bytes);
  // Text, profiles and other ancillary chunks are skipped unread: they cannot blow up memory. The size is judged below.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
  png_set_chunk_cache_max(png, 128);
  png_set_chunk_malloc_max(png, 8 << 20);
  png_read_info(png, info);

  cic_image *image = work->image;
  image->width = png_get_image_width(png, info);
  image->height = png_get_image_height(png, info);
  char text[CIC_MESSAGE_SIZE];
  cic_status status = cic_allocate(image, work->max_pixels, text);
  if (status != CIC_OK) fail(work, status, text);

  int type = png_get_color_type(png, info);
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  if (!(type & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  size_t stride = (size_t)image->width * 3;
  if (png_get_rowbytes(png, info) != stride) png_error(png, "rows are not 8-bit RGB");

  work->rows = malloc(image->height * sizeof *work->rows);
  if (!work->rows) fail(work, CIC_NO_MEMORY, "no memory for the picture");
  for (uint32_t y = 0; y < image->height; y++) work->rows[y] = image->pixels + stride * y;
  png_read_image(png, work->rows);
  png_read_end(png, NULL);
  work->status = CIC_OK;
}

static void encode(png_work *work) {
  png_structp png = work->png;
  png_infop info = work->info;
  if (setjmp(png_jmpbuf(png))) return;
  png_set_write_fn(png, work, write_bytes, flush_nothing);
  png_set_compression_level(png, work->level);
  png_set_IHDR(png, info, work->width, work->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (uint32_t y = 0; y < work->height; y++) png_write_row(png, work->rgb + (size_t)work->width * 3 * y);
  png_write_end(png, NULL);
  work->status = CIC_OK;
}

cic_status cic_png_decode(const uint8_t *data, size_t size, uint64_t max_pixels, cic_image *out, char *message) {
  *out = (cic_image){0};
  png_work work = {.message = message, .status = CIC_CORRUPT, .data = data, .left = size, .max_pixels = max_pixels, .image = out};
  work.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &work, on_error, on_warning);
  if (work.png) work.info = png_create_info_struct(work.png);
  if (!work.info) {
    png_destroy_read_struct(&work.png, NULL, NULL);
    cic_say(message, "libpng does not start");
    return CIC_NO_MEMORY;
  }
  decode(&work);
  png_destroy_read_struct(&work.png, &work.info, NULL);
  free(work.rows);
  if (work.status != CIC_OK) {
    free(out->pixels);
    *out = (cic_image){0};
  }
  return work.status;
}

cic_status cic_png_encode(const uint8_t *rgb, uint32_t width, uint32_t height, int level, cic_bytes *out, char *message) {
  *out = (cic_bytes){0};
  png_work work = {.message = message, .status = CIC_UNSUPPORTED, .rgb = rgb, .width = width, .height = height, .level = level,
                   .encoded = out};
  work.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &work, on_error, on_warning);
  if (work.png) work.info = png_create_info_struct(work.png);
  if (!work.info) {
    png_destroy_write_struct(&work.png, NULL);
    cic_say(message, "libpng does not start");
    return CIC_NO_MEMORY;
  }
  encode(&work);
  png_destroy_write_struct(&work.png, &work.info);
  if (work.status != CIC_OK) {
    free(out->bytes);
    *out = (cic_bytes){0};
  }
  return work.status;
}
