"""The Camera tab: the camera's picture before and after, as one watches."""

from demo.server.camera import Camera
from demo.tabs.parts import Controls, component


class CameraTab:
    """Builds the tab inside gradio's Blocks; the camera's pictures go to the server one by one."""

    def __init__(self, gr, camera: Camera):
        def enhance(data: dict) -> dict:
            return camera.enhance(data)

        with gr.Row(elem_classes=["work"]):
            with gr.Column(scale=3, min_width=320):
                component(gr, "camera", server_functions=[enhance])
            with gr.Column(scale=1, min_width=280, elem_classes=["side-column"]):
                Controls(gr, "camera")
